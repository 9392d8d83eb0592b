// Package driving decides when each dump of a night is begun, and what becomes of those that fail.
//
// It knows jobs and limits, and nothing of images, holding disks or volumes: what a job does is a function, and the room
// on the holding disk an interface. Run goes round one loop: it begins what every limit allows, tells why the rest waits,
// and sleeps until something has changed. Its invariants:
//
//   - at no moment does what is running exceed any limit;
//   - while a dumper is idle and jobs wait, each of them has a reason that was told;
//   - every job ends once: done, failed for good, or never begun with the reason, but for a night that is stopped;
//   - room that was reserved is given back when the attempt it was for has ended;
//   - when all that runs waits for room, and none is to come, one of them gives way.
//
// The rules are Amanda's driver's: priority first, then the letter of the dumper's order; max-dumps and spindles; an
// interface that is idle takes any dump; a dump goes straight to a volume when the holding disk cannot take it and nothing
// else goes on. Beyond them a host that is down is tried by one dump for all, and a full that would outlast the window
// gives way to an incremental.
package driving

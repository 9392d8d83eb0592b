// Package freeze freezes a guest's file systems around the moment in which its disks are pinned, and thaws them whatever
// happens.
//
// Its one invariant: from before the freeze until "thawed" is seen there is a process that will thaw, and a journal entry by
// which the next run will. Holdfast may be killed, the guest's hooks may take longer than anybody waits, the agent may die
// and come back.
//
// For that the watchdog, a process of its own and in a session of its own, does both the freeze and the thaw: an agent's
// port serves one client, so nobody else may hold it when it matters. Guard starts it for each freeze, gives it one order and
// hears what became of it:
//
//	journal entry ─ start watchdog ─ order ──> freeze ──> "frozen" ─ pin ─ "thaw" ──> thaw ──> "over" ─ entry done
//	                                             │            └─ the pipe closes, the window ends, SIGTERM: thaw
//	                                             └─ no answer in time: the guest may freeze yet. Ask and thaw until it is over
//
// Should the watchdog die, Guard thaws by itself; should both, Reap does in the next run.
//
// The two speak lines of JSON. On the watchdog's standard input: {"do":"freeze", "guest":{...}, "timeout_ns":..., ...}, then
// {"do":"thaw"}; its end, at any time, means the same. On its standard output: {"state":"frozen", "count":2} or
// {"state":"refused", "why":"..."}, and in the end {"state":"over", "count":2, "held_ns":..., "why":"..."}: nothing of this
// order is frozen any more, and why is empty if that came as it was asked for. Nothing of it is in its arguments.
package freeze

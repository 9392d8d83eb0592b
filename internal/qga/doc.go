// Package qga is a client of QEMU's guest agent: lines of JSON over the socket of a virtio-serial port.
//
// Its one invariant: no answer is trusted without a fresh synchronisation. The port knows no connections: what an earlier
// client asked is answered to the next one. So before each command comes a byte that resets the agent's parser, and
// guest-sync-delimited with a random number; all that comes before that number comes back is dropped. The agent does one
// thing after another: when it has answered the number, everything asked before is done.
//
// A port serves one client: a second one is accepted and hears nothing, as one does whose agent does not run
// (ErrNoAnswer). Under libvirt the socket is libvirt's.
//
// The guest is not trusted: what it says is bounded, and counts and names are its claims.
package qga

// Package handshake negotiates with an NBD server: TLS, structured replies, meta contexts, and the export with its sizes.
// Connect leaves a connection in transmission, for package nbd; List and Inspect ask and hang up.
//
// Its one invariant: nothing a server says is trusted. Every length is checked before it is used, no answer is longer
// than a constant, there is a time for all of it, and where TLS is required not a byte counts that came without it.
//
// # Format
//
// The protocol is described in doc/proto.md of the NetworkBlockDevice/nbd project. All fields are big-endian. Only
// "fixed newstyle" is spoken. The server begins:
//
//	0  8  "NBDMAGIC"
//	8  8  "IHAVEOPT"
//	16 2  flags: 1 fixed newstyle, 2 no zeroes; answered with the same bits in 4 bytes
//
// Options are asked (IHAVEOPT, u32 option, u32 length, data) and answered by any number of replies (u64 magic, u32
// option, u32 type, u32 length, data), in the order STARTTLS, STRUCTURED_REPLY, SET_META_CONTEXT, GO. The order matters:
// meta contexts need structured replies, and hold for the export's name they were set with.
package handshake

// Package nbd is a client of the NBD protocol: it reads, maps and writes disks that QEMU, qemu-nbd, qemu-storage-daemon
// or nbdkit export, over Unix or TCP sockets, with TLS or without.
//
// Open negotiates one connection, or several where the server allows it, and gives a Client. Read, Write, Zero, Trim,
// Cache and Flush are commands; Extents maps the export by meta contexts (allocation, dirty bitmaps); Stream reads runs
// ahead of its caller and delivers them in order. handshake.List and handshake.Inspect ask a server what it exports.
//
// Its one invariant: nothing a server says is trusted. Lengths are bounded before anything is allocated, a read
// succeeds only when replies have covered each of its bytes exactly once, and a reply that contradicts the protocol
// ends the connection with ErrProtocol. A connection that ends, for whatever reason, ends all that waits for it.
//
// # Format
//
// The protocol is described in doc/proto.md of the NetworkBlockDevice/nbd project. All fields are big-endian. How a
// connection begins is in package handshake; then come requests and replies, which need not come in order:
//
//	request           simple reply        chunk of a structured reply
//	0  4  0x25609513  0  4  0x67446698    0  4  0x668e33ef
//	4  2  flags       4  4  error         4  2  flags: 1 last chunk
//	6  2  command     8  8  cookie        6  2  type
//	8  8  cookie      16 .  data read     8  8  cookie
//	16 8  offset                          16 4  length of what follows
//	24 4  length
//
// Chunk types: 0 nothing; 1 data (u64 offset, bytes); 2 hole (u64 offset, u32 length); 5 block status (u32 context,
// then pairs of u32 length and u32 state); 0x8001 error (u32 number, u16 length, text); 0x8002 the same, then u64
// offset. Limits not given there are constants in wire.go, each with its reason.
package nbd

// Package frames makes and reads the stored form of a dump stream: compressed in frames, optionally encrypted, and
// readable at random by several goroutines.
//
// Its one invariant: a byte handed out is the byte that went in, or there is an error that names its range. Only at
// level None without encryption is there nothing to prove it by.
//
// # Format
//
// All numbers are little endian. A compressed stream is a zstd stream (RFC 8878) in the zstd seekable format 0.1.0:
//
//	data frame ...   one for each 1 byte to 1 MiB of raw bytes, in order; independent of each other
//	pad frame        one
//	seek table       one, the last bytes of the stream
//
// Data frame: a zstd frame without dictionary, with Frame_Content_Size and with Content_Checksum (the low 32 bits of
// XXH64 of the raw bytes). A reader refuses frames without either, and frames of more than 1 MiB of content.
//
// Pad frame, a skippable frame. Limit: its length is chosen so that the stored stream, encryption included, is a
// multiple of 128 KiB; it is at least 12 bytes.
//
//	offset  size  field
//	0       4     magic 0x184D2A50
//	4       4     length of what follows
//	8       4     CRC-32C of the seek table, from its magic to its last byte
//	12            zeros
//
// Seek table, a skippable frame. Its entries cover every byte of the stream before it, the pad frame's last.
//
//	offset  size  field
//	0       4     magic 0x184D2A5E
//	4       4     length of what follows
//	8       8*n   entries: stored size (4), raw size (4; 0 for the pad frame)
//	8+8*n   4     n, at most 2^27
//	12+8*n  1     descriptor: 0 as written. Bit 7: entries have 4 bytes more, a checksum that is not used. Bits 6 to 2: 0
//	13+8*n  4     magic 0x8F92EAB1
//
// A table whose CRC is not in a pad frame is compared with the frames themselves, header by header. So a stream that
// another program wrote in this format can be read, and so can one whose table is damaged or missing.
//
// Level None has neither frames nor table: the stream is the raw bytes and zeros up to the multiple of 128 KiB.
//
// Encryption is age, version 1, binary, around the whole of the above: a header of a few hundred bytes, a nonce of 16,
// then chunks of 64 KiB with a tag of 16 bytes each.
//
// The standard tools undo it: `age -d -i KEY | zstd -d`. The format has no version of its own: what would break a
// reader needs another word in the header of the medium. Retired versions: none.
package frames

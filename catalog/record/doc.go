// Package record is the format of the catalog records on media: the last file that a run writes to a storage, which tells what
// the catalog knows of the run and of all that it depends on, so that a set of volumes explains itself.
//
// Its invariant: what Decode gives was written by Encode and is whole, and reading it takes no more memory than a fixed
// multiple of what is there.
//
// # On a volume
//
// A record is a file of the volume like a dump's: 32 KiB of header, then the bytes. The header says
// `SPLIT_FILE <stamp> <host> holdfast-catalog  part 1/-1  lev 0 comp .zst program HOLDFAST-CATALOG`: host is the server's,
// the stamp that of the run. Amanda does not know the program, so its commands hand the file out as it is.
//
//	dd if=FILE bs=32k skip=1 | zstd -d | jq .
//
// # Format, version 1
//
// Zstandard frames, filled up to a multiple of 128 KiB with what zstd skips. Within, lines of JSON, each an object:
//
//	{"format":"holdfast-catalog","version":1,"storage":S,"run":STAMP,"made":TIME}   the first line
//	{"run":{...}}        catalog.Run
//	{"volume":{...}}     catalog.Volume, of every storage
//	{"dump":{...}}       catalog.Dump
//	{"document":{...}}   dump, name, and text or base64: what the source gave with the dump, as a domain's XML
//	{"copy":{...}}       dump, storage, write_stamp, status
//	{"part":{...}}       catalog.Part, of a copy named before
//	{"chunk":{...}}      dump, path, bytes, crc, header_crc: a file on the holding disk; those of a dump in their order
//	{"wanted":{...}}     catalog.Wanted
//	{"end":{"lines":N}}  the last line; N counts all lines, this one included
//
// Times are RFC 3339, sizes bytes, checksums CRC-32C as numbers; names of fields are those of the JSON answers of holdfast.
//
//	limit               value
//	a line              1 MiB
//	the text            1 GiB
//	a document          256 KiB; its name 128 bytes, one that can stand as a file name
//	documents of a dump 64, as far as runs keep them
//	messages of a dump  64 KiB; Encode cuts what is longer
//
// # Version rule
//
// Fields and kinds of lines may be added: a reader passes over those it does not know. The version is raised only when an
// older reader would understand something wrongly; readers refuse versions above their own. No version has been retired.
package record

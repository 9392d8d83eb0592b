// Package holding keeps dumps on holding disks until they are on volumes, in Amanda's layout:
//
//	HOLDING/20250102030405/        one directory for each run, mode 0700
//	    web01.disk0.0              first chunk: 32 KiB header of type FILE, then data
//	    web01.disk0.0.1, .2, ...   further chunks: header of type CONT_FILE, then data
//	    *.tmp                      chunks of a dump that is not finished
//
// A name is `VM.DISK.LEVEL` with `/`, `:` and `\` replaced by `_`; where two dumps would get one name, the second gets
// the next free one, for only the headers are authoritative. Every chunk but the last says in CONT_FILENAME the
// absolute final path of the next. The first header is written again at the end with sizes and checksums; the others
// never have them. Chunks lie in one directory; a reader takes the last element of CONT_FILENAME and looks beside the
// first chunk, so that a directory may be moved.
//
// The invariant: a FILE chunk under its final name is a complete dump. So the first chunk is renamed last, and
// removed first, each with a directory sync between it and the others; what a crash leaves is never taken for a dump,
// and Reap removes it.
//
// One process writes to a holding disk at a time. Many goroutines may.
package holding

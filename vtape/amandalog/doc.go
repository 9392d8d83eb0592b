// Package amandalog reads and writes the two kinds of files that are Amanda's catalog: the tapelist, which names the
// volumes, and the logs of runs, which say what lies on them. It is text only: no file is opened here.
//
// A tapelist has one line for each volume, the one written last first, its words in this order:
//
//	STAMP LABEL reuse|no-reuse [BARCODE:x] [META:x] [BLOCKSIZE:KiB] [POOL:x] [STORAGE:x] [CONFIG:x] [#comment]
//
// For a volume with the stamp T Amanda looks for the line that starts it in the logs `log.T.0`, `log.T.1` and so on, until
// one of them is not there. Of the lines of a log these say where dumps lie:
//
//	START taper datestamp T "ST:storage" "POOL:pool" label LABEL tape N
//	PART taper "ST:.." "POOL:.." LABEL FILE HOST DISK STAMP N/TOTAL LEVEL [sec S bytes B kps K orig-kb O]
//	PARTPARTIAL taper ... as PART ... "message"
//	DONE taper "ST:.." "POOL:.." HOST DISK STAMP PARTS LEVEL NATIVE CLIENT SERVER [sec S bytes B kps K orig-kb O]
//	PARTIAL taper ... as DONE ... "message"
//
// STAMP is that of the dump, NATIVE, CLIENT and SERVER are CRC:BYTES; names are quoted as in headers (vtape.Quote).
//
// Its one invariant: what is written is read back as the same values, by Amanda as well.
package amandalog

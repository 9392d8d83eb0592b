// Package vtape is the format of volumes and the contract of the devices that hold them. The format is Amanda's (3.5.1),
// to the byte: Amanda's commands read what holdfast wrote and the other way round, and dd, zstd and age suffice when
// neither program is left.
//
// Its invariant: the media explain themselves. What a file is, and how to get its content back, is told by the file's
// own header; catalog and file names only repeat it.
//
// # Volume
//
// A volume is a row of numbered files. File 0 is the label: a header block of type TAPESTART and nothing else. Each
// further file is a header block followed by the bytes of one part of a dump; parts of a dump are joined in the order of
// their numbers. Nothing marks the end of a volume.
//
// # Header block
//
// A header block is HeaderBytes long: lines of text ended by LF, a line that holds a form feed, NUL bytes to the end.
//
//	offset  size    field
//	0       t       text (below), first line first
//	t       2       0x0C 0x0A
//	t+2     rest    0x00 up to offset 32768; at least one
//
// The first line is one of
//
//	AMANDA: TAPESTART DATE <stamp> TAPE <label>
//	AMANDA: TAPEEND DATE <stamp>
//	AMANDA: FILE <stamp> <host> <disk>  lev <n> comp <c> [<program words>]
//	AMANDA: CONT_FILE <stamp> <host> <disk>  lev <n> comp <c> [<program words>]
//	AMANDA: SPLIT_FILE <stamp> <host> <disk>  part <n>/<total>  lev <n> comp <c> [<program words>]
//
// where the program words are, in this order and no other,
//
//	program <name> [crypt enc] [server_custom_compress <path> | client_custom_compress <path>]
//	[server_encrypt <path> | client_encrypt <path>] [server_decrypt_option <opt> | client_decrypt_option <opt>]
//
//	field            meaning                                              limit
//	stamp            YYYYMMDDHHMMSS; X on a volume never written          one word, 255 bytes
//	label, host      names                                                one word, 255 bytes
//	disk             name; in double quotes when it needs them            255 bytes
//	part             from 1 over the whole dump                           int32
//	total            number of parts, -1 when not known                   int32
//	lev              level                                                int32
//	comp             N, or the suffix of the compression: .gz .zst cust   one word, 255 bytes
//	program, paths   who made the stream; what decodes it                 one word each, 255 bytes
//
// A quoted disk name has \" \\ \t \n \r \f for these bytes; up to three octal digits after a backslash are read too.
//
// Lines that may follow, in the order they are written; they are read in any order, and unknown ones are ignored:
//
//	CONT_FILENAME=<path>    next chunk on a holding disk                  255 bytes
//	APPLICATION=<name>      Amanda's plugin, with program APPLICATION     255 bytes
//	PARTIAL=YES             the dump is not complete
//	ORIGSIZE=<n>            KiB before compression; absent when 0         int64
//	NATIVE-CRC=<crc>:<n>    CRC-32C in hex, number of bytes: stream before compression; absent when the CRC is 0
//	CLIENT-CRC=<crc>:<n>    likewise, as sent by the client
//	SERVER-CRC=<crc>:<n>    likewise, as stored, all parts joined
//	DLE=<<ENDDLE            lines of XML up to a line ENDDLE              30720 bytes
//	HOLDFAST=<json>         ImageInfo in one line; holdfast only          Base 2048, Identity 1024, Status 64 bytes
//	HOLDFAST-RAIT=<json>    member of a parity set, see package rait; in labels too   512 bytes
//	To restore, ...         a fixed sentence, and after it:
//	<TAB>dd if=<tape> ...   the command that gives the content back       4096 bytes
//
// # Version rule
//
// Amanda's part never changes. ImageInfo may gain fields: older versions ignore them, and a field never changes its
// meaning. There are no retired versions.
package vtape

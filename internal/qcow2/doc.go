// Package qcow2 writes the one form of qcow2 file that a dump stream is, and reads any qcow2 file an image may be.
//
// Writing: a Set says which clusters a file holds, and a Layout lays them out as a version 3 file whose metadata come
// first and whose data clusters follow in guest order, so that the file can be sent strictly front to back. Reading:
// Open gives an Image, whose Extents and ReadAt cover versions 2 and 3, all cluster sizes, compressed clusters and
// extended L2 entries. Neither side opens files: they work on io.ReaderAt and on bytes.
//
// Its one invariant: nothing an image says is trusted. Every offset is checked against the length of the file before
// it is used, and no allocation is larger than what the file's own length, or a constant, permits.
//
// # Format
//
// All fields are big-endian; the offsets are those of the header. The format is described in QEMU's
// docs/interop/qcow2.txt; limits not given there are those of QEMU 7.2's block/qcow2.c.
//
//	 0  4  magic "QFI\xfb"                    64  8  offset of the snapshot table (not read)
//	 4  4  version: 2 or 3                    72  8  incompatible features: bit 0 dirty, 1 corrupt,
//	 8  8  offset of the backing file name              2 external data file, 3 compression type, 4 extended L2
//	16  4  its length, at most 1023           80  8  compatible features (not read)
//	20  4  cluster bits, 9 to 21              88  8  autoclear features (not read)
//	24  8  virtual size in bytes              96  4  refcount order, at most 6
//	32  4  encryption: 0, 1 AES, 2 LUKS      100  4  header length
//	36  4  entries of the L1 table           104  1  compression: 0 deflate, 1 zstd
//	40  8  offset of the L1 table
//	48  8  offset of the refcount table       (from 72 on in version 3 only; 104 only in a header longer than 104)
//	56  4  its clusters
//	60  4  number of snapshots
//
// Header extensions follow the header: type (4), length (4), data padded to 8 bytes; type 0 ends them.
//
// An entry of the L1 table is the offset of an L2 table; an entry of an L2 table the offset of a cluster, both in bits 9
// to 55. L2 bit 63 is "copied" (refcount is 1), bit 62 compressed, bit 0 reads as zeros. Neither offset nor bit 0: the
// cluster is looked for in the backing file. In an extended L2 table an entry has a second word: 32 bits "allocated", and
// 32 bits above them "reads as zeros", one for each 1/32 of the cluster.
package qcow2

// Package blockmap keeps, for one dump, the state of the whole image at that point: a digest for each 64 KiB cluster
// that is not zero. The next incremental compares the image with it, and restore and verify compare what they read.
//
// Its one invariant: a map never answers wrongly. Each byte of the file stands under a checksum, and what fails its
// check is an error that wraps ErrDamaged. Neither writing nor reading takes memory that grows with the image, save
// for an index of 16 bytes for each 512 MiB that hold data.
//
// # Format, version 1
//
// All numbers are little endian and unsigned. A file is a header, the segments, the index, the trailer, without gaps.
//
//	header, 64 bytes
//	     0   8  magic "HFBLKMAP"
//	     8   4  version: 1
//	    12   4  bytes of a cluster: 65536
//	    16   8  bytes of the image, at most 2^50
//	    24  32  name of the digest, padded with zeros: "blake3" (BLAKE3-256, its first 16 bytes)
//	    56   4  bytes of a digest: 16
//	    60   4  CRC-32C of bytes 0 to 59
//
//	segment, 2060 + 16 n bytes: 8192 clusters, 512 MiB of the image; a segment of zeros only is left out
//	     0      4  number of the segment: its first cluster is 8192 times this
//	     4      4  n, the number of digests: 1 to 8192
//	     8   1024  bitmap: the cluster is not zero (cluster 0 is the lowest bit of the first byte)
//	  1032   1024  bitmap: the cluster takes the next digest; if it is not zero and this bit is not set, it has the
//	               same digest as the last cluster that is not zero
//	  2056   16 n  digests; no digest equals the one before it
//	     -      4  CRC-32C of all of the segment before it
//
//	index, 8 bytes for each segment, in rising order
//	     0      4  number of the segment
//	     4      4  n; the segments follow one another, so this tells where each begins
//
//	trailer, 24 bytes
//	     0      8  offset of the index
//	     8      4  number of segments
//	    12      4  CRC-32C of the index and of bytes 0 to 11 of the trailer
//	    16      8  magic "HFMAPEND"
//
// The digest of an image's last cluster is that of its bytes followed by zeros up to 64 KiB, which is what the dump
// stream holds. There is one encoding of each state, and a reader refuses others.
//
// Version rule: a reader refuses versions it does not know. No version has been retired.
package blockmap

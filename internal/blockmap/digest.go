package blockmap

import (
	"bytes"

	"github.com/zeebo/blake3"
)

// ClusterBytes is the size of a cluster: that of the dump stream's qcow2 files.
const ClusterBytes = 64 << 10

// Digest is the first 16 bytes of the BLAKE3-256 of a cluster. 128 bits keep chance out of it: blocks of one image are
// compared with one another, and nothing is found by digest alone.
type Digest [16]byte

// zeroPage is what IsZero compares with: small enough to stay in the fastest cache.
var zeroPage [4096]byte

// Sum is the digest of a cluster. A shorter one, an image's last, is taken as if zeros followed up to ClusterBytes.
func Sum(cluster []byte) Digest {
	if len(cluster) > ClusterBytes {
		panic("blockmap: sum of more than a cluster")
	}
	if len(cluster) == ClusterBytes {
		sum := blake3.Sum256(cluster)
		return Digest(sum[:16])
	}
	h := blake3.New()
	h.Write(cluster) // a hash never fails to write
	for missing := ClusterBytes - len(cluster); missing > 0; {
		n := min(missing, len(zeroPage))
		h.Write(zeroPage[:n])
		missing -= n
	}
	var sum [32]byte
	h.Sum(sum[:0])
	return Digest(sum[:16])
}

// IsZero tells whether p holds zeros only.
func IsZero(p []byte) bool {
	for len(p) > len(zeroPage) {
		if !bytes.Equal(p[:len(zeroPage)], zeroPage[:]) {
			return false
		}
		p = p[len(zeroPage):]
	}
	return bytes.Equal(p, zeroPage[:len(p)])
}

// Clusters is the number of clusters of an image; the last one may be partial.
func Clusters(imageBytes int64) int64 {
	n := imageBytes / ClusterBytes
	if imageBytes%ClusterBytes > 0 {
		n++
	}
	return n
}

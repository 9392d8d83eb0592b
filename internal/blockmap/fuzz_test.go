package blockmap

import (
	"bytes"
	"testing"
)

// FuzzSegment puts arbitrary bytes in a segment's place under right checksums, which FuzzOpen would hardly hit: a hostile
// file can have them. What is accepted must be the one encoding of what it says.
func FuzzSegment(f *testing.F) {
	body := make([]byte, digestsAt+2*digestBytes)
	order.PutUint32(body[4:], 2)
	body[presentAt], body[freshAt], body[digestsAt] = 0b1101, 0b1001, 1
	f.Add(int64(SegmentClusters*ClusterBytes), body)
	f.Add(int64(4*ClusterBytes), body)
	for at, b := range map[int]byte{
		0:                       1,      // past the image's end
		4:                       1,      // fewer digests than there are
		presentAt:               0b0101, // a digest for a cluster that is zero
		presentAt + 1:           0b0001, // a cluster past the image's end
		freshAt:                 0b1100, // the first cluster like one before it
		freshAt + 1:             0b0001, // more digests than there are
		digestsAt + digestBytes: 1,      // two equal digests
	} {
		bad := bytes.Clone(body)
		bad[at] = b
		f.Add(int64(4*ClusterBytes), bad)
		f.Add(int64(SegmentClusters*ClusterBytes), bad)
	}
	for _, fresh := range []byte{0b0001, 0b1101} { // a digest that no cluster takes, and one too few
		bad := bytes.Clone(body)
		bad[freshAt] = fresh
		f.Add(int64(4*ClusterBytes), bad)
	}
	f.Fuzz(func(t *testing.T, imageBytes int64, body []byte) {
		if imageBytes < 0 || imageBytes > MaxImageBytes || len(body) < digestsAt || len(body)%digestBytes != digestsAt%digestBytes {
			return
		}
		e := entry{order.Uint32(body), uint32((len(body) - digestsAt) / digestBytes), headerBytes}
		file := order.AppendUint32(append(encodeHeader(imageBytes), body...), checksum(body))
		file = appendTail(file, []entry{e}, int64(len(file)))

		m, err := Open(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			return
		}
		var again bytes.Buffer
		w := NewWriter(&again, imageBytes)
		if err := m.Range(0, Clusters(imageBytes), w.Data); err != nil {
			return
		}
		if _, err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again.Bytes(), file) {
			t.Errorf("a segment of %d digests is read, but written otherwise", e.digests)
		}
	})
}

package qcow2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"
)

// maxWindowBytes bounds what a compressed cluster can make the decoder allocate: QEMU compresses a cluster in one
// piece, so a window is never larger than the largest cluster; 8 MiB is what the format says every decoder permits.
const maxWindowBytes = 8 << 20

// ReadAt reads from the virtual disk, through to the backing file where there is one. Past the end it gives io.EOF.
func (m *Image) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read qcow2 image: offset %d is negative", off)
	}
	if off >= m.header.SizeBytes {
		if len(p) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	want := p[:min(int64(len(p)), m.header.SizeBytes-off)]
	done := 0
	err := m.walk(context.Background(), off, off+int64(len(want)), func(e Extent) error {
		at := e.Start - off
		if err := m.readExtent(want[at:at+e.Length], e); err != nil {
			return fmt.Errorf("read qcow2 image: offset %d: %w", e.Start, err)
		}
		done += int(e.Length)
		return nil
	})
	if err != nil {
		return done, err
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}

// readExtent fills p with an extent, whose length it has.
func (m *Image) readExtent(p []byte, e Extent) error {
	switch {
	case e.Kind == ExtentZero:
		clear(p)
		return nil
	case e.Kind == ExtentUnallocated:
		return m.readBacking(p, e.Start)
	case !e.Compressed:
		return readFull(m.r, p, e.HostOffset)
	case e.Length == m.header.ClusterBytes:
		// All of the cluster is wanted, so it need not be kept for those who want the rest.
		return m.decompress(p, e)
	}
	cluster, err := m.clusters.get(e.HostOffset, func() ([]byte, error) {
		whole := make([]byte, m.header.ClusterBytes)
		return whole, m.decompress(whole, e)
	})
	if err != nil {
		return err
	}
	copy(p, cluster[e.Start%m.header.ClusterBytes:])
	return nil
}

// readBacking fills p from the backing file, with zeros where that does not reach.
func (m *Image) readBacking(p []byte, off int64) error {
	n := 0
	if m.backing != nil && off < m.backingBytes {
		n = int(min(int64(len(p)), m.backingBytes-off))
		if err := readFull(m.backing, p[:n], off); err != nil {
			return fmt.Errorf("backing file: %w", err)
		}
	}
	clear(p[n:])
	return nil
}

// decompress fills p, which is a cluster long, from the stored bytes of a compressed cluster.
func (m *Image) decompress(p []byte, e Extent) error {
	buffer, _ := m.buffers.Get().(*[]byte)
	if buffer == nil || int64(cap(*buffer)) < e.stored {
		b := make([]byte, e.stored)
		buffer = &b
	}
	defer m.buffers.Put(buffer)
	stored := (*buffer)[:e.stored]
	if err := readFull(m.r, stored, e.HostOffset); err != nil {
		return err
	}
	// What is stored ends with a sector, which may hold the beginning of something else: decoding stops at a full
	// cluster, not at the end of the input.
	var err error
	if m.header.Compression == "zstd" {
		err = m.decompressZstd(p, stored)
	} else {
		err = m.decompressDeflate(p, stored)
	}
	if err != nil {
		return fmt.Errorf("decompress cluster at offset %d of the file: %w: %w", e.HostOffset, err, ErrDamaged)
	}
	return nil
}

func (m *Image) decompressDeflate(p, stored []byte) error {
	source := bytes.NewReader(stored)
	decoder, ok := m.inflate.Get().(io.Reader)
	if !ok {
		decoder = flate.NewReader(source)
	} else if err := decoder.(flate.Resetter).Reset(source, nil); err != nil {
		return err
	}
	defer m.inflate.Put(decoder)
	return readCluster(decoder, p)
}

func (m *Image) decompressZstd(p, stored []byte) error {
	source := bytes.NewReader(stored)
	decoder, ok := m.inflate.Get().(*zstd.Decoder)
	if !ok {
		var err error
		// One goroutine: this one. A decoder that is forgotten then leaves nothing behind.
		decoder, err = zstd.NewReader(source, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindowBytes),
			zstd.WithDecodeBuffersBelow(0))
		if err != nil {
			return err
		}
	} else if err := decoder.Reset(source); err != nil {
		return err
	}
	defer m.inflate.Put(decoder)
	return readCluster(decoder, p)
}

// readCluster fills p, and calls a stream that is too short by its name.
func readCluster(r io.Reader, p []byte) error {
	_, err := io.ReadFull(r, p)
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

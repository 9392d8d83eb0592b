package qcow2

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"strings"
)

// Errors that callers branch on.
var (
	// ErrUnsupported: not a qcow2 file, or one with a feature that cannot be read (named in the message).
	ErrUnsupported = errors.New("image format is not supported")
	// ErrDamaged: the metadata contradict themselves, point outside of the file, or say that they are not to be trusted.
	ErrDamaged = errors.New("image is damaged")
)

// Limits of what is read, all of them QEMU's own.
const (
	minClusterBits    = 9
	maxClusterBits    = 21
	minExtendedBits   = 14 // of extended L2: a subcluster is at least one sector
	maxRefcountOrder  = 6
	maxL1Bytes        = 32 << 20
	maxVirtualBytes   = 1 << 62
	headerBytesV2     = 72
	headerBytesV3     = 104
	featureNameBytes  = 48 // an entry of the feature name table: type, bit, 46 bytes of name
	subclustersInItem = 32
)

// Bits of the incompatible features.
const (
	incompatDirty = 1 << iota
	incompatCorrupt
	incompatDataFile
	incompatCompression
	incompatExtendedL2
	incompatKnown = 1<<iota - 1
)

// Header is what an image says about itself.
type Header struct {
	// Version is 2 or 3.
	Version int `json:"version"`
	// SizeBytes is the virtual size.
	SizeBytes    int64 `json:"size_bytes"`
	ClusterBytes int64 `json:"cluster_bytes"`
	// BackingName and BackingFormat name the image this one is an overlay of; both are empty for none, the format also
	// where the image does not say it.
	BackingName   string `json:"backing_name,omitempty"`
	BackingFormat string `json:"backing_format,omitempty"`
	// Compression is "deflate" or "zstd": how clusters are compressed if any are.
	Compression  string `json:"compression"`
	ExtendedL2   bool   `json:"extended_l2"`
	RefcountBits int    `json:"refcount_bits"`
	// Snapshots is how many internal snapshots there are. They are not read.
	Snapshots int `json:"snapshots"`
	// Dirty is set where the file was not closed: its refcounts may be wrong, which does not matter for reading.
	Dirty bool `json:"dirty"`

	clusterBits int
	l1Offset    int64
	l1Entries   int64 // those that the virtual size needs
}

// HasMagic tells whether p, the beginning of a file, is that of a qcow2 file.
func HasMagic(p []byte) bool { return bytes.HasPrefix(p, []byte(magic)) }

// readHeader reads and checks the header of a file of fileBytes.
func readHeader(r io.ReaderAt, fileBytes int64) (Header, error) {
	var fixed [headerBytesV3 + 1]byte
	n := min(int64(len(fixed)), fileBytes)
	if err := readFull(r, fixed[:n], 0); err != nil {
		return Header{}, err
	}
	if n >= 4 && !HasMagic(fixed[:]) {
		return Header{}, fmt.Errorf("magic is %q: not a qcow2 file: %w", fixed[:4], ErrUnsupported)
	}
	if n < headerBytesV2 {
		return Header{}, fmt.Errorf("file has %d bytes, which is less than a header: %w", fileBytes, ErrDamaged)
	}
	h, headerBytes, err := parseFixed(fixed[:n])
	if err != nil {
		return Header{}, err
	}
	area, err := extensionArea(r, fileBytes, h, fixed[:])
	if err != nil {
		return Header{}, err
	}
	if err := h.parseBacking(r, fileBytes, fixed[:]); err != nil {
		return Header{}, err
	}
	ext, err := parseExtensions(area, headerBytes)
	if err != nil {
		return Header{}, err
	}
	h.BackingFormat = ext.backingFormat
	if h.BackingName == "" {
		h.BackingFormat = ""
	}
	if err := h.parseFeatures(fixed[:], headerBytes, ext); err != nil {
		return Header{}, err
	}
	return h, h.checkL1(fixed[:], fileBytes)
}

// parseFixed reads the fields that do not depend on features. p holds at least a version 2 header.
func parseFixed(p []byte) (h Header, headerBytes int64, err error) {
	be := binary.BigEndian
	h = Header{
		Version:      int(be.Uint32(p[4:])),
		clusterBits:  int(be.Uint32(p[20:])),
		Snapshots:    int(be.Uint32(p[60:])),
		RefcountBits: 16,
	}
	if h.Version != 2 && h.Version != 3 {
		return h, 0, fmt.Errorf("version %d, want 2 or 3: %w", h.Version, ErrUnsupported)
	}
	if h.clusterBits < minClusterBits || h.clusterBits > maxClusterBits {
		return h, 0, fmt.Errorf("cluster of 2^%d bytes, want 2^%d to 2^%d: %w",
			h.clusterBits, minClusterBits, maxClusterBits, ErrDamaged)
	}
	h.ClusterBytes = 1 << h.clusterBits
	size := be.Uint64(p[24:])
	if size > maxVirtualBytes {
		return h, 0, fmt.Errorf("virtual size is %d bytes, which no table maps: %w", size, ErrDamaged)
	}
	h.SizeBytes = int64(size)
	switch crypt := be.Uint32(p[32:]); crypt {
	case 0:
	case 1:
		return h, 0, fmt.Errorf("encryption (AES): %w", ErrUnsupported)
	case 2:
		return h, 0, fmt.Errorf("encryption (LUKS): %w", ErrUnsupported)
	default:
		return h, 0, fmt.Errorf("encryption (method %d): %w", crypt, ErrUnsupported)
	}
	if table := be.Uint64(p[48:]); table%uint64(h.ClusterBytes) != 0 {
		return h, 0, fmt.Errorf("refcount table at offset %d is not at a cluster's start: %w", table, ErrDamaged)
	}
	if h.Version == 2 {
		return h, headerBytesV2, nil
	}
	if len(p) < headerBytesV3 {
		return h, 0, fmt.Errorf("file ends in its header: %w", ErrDamaged)
	}
	order := be.Uint32(p[96:])
	if order > maxRefcountOrder {
		return h, 0, fmt.Errorf("refcounts of 2^%d bits, want at most 2^%d: %w", order, maxRefcountOrder, ErrDamaged)
	}
	h.RefcountBits = 1 << order
	headerBytes = int64(be.Uint32(p[100:]))
	if headerBytes < headerBytesV3 || headerBytes > h.ClusterBytes {
		return h, 0, fmt.Errorf("header of %d bytes, want %d to %d: %w",
			headerBytes, headerBytesV3, h.ClusterBytes, ErrDamaged)
	}
	return h, headerBytes, nil
}

// extensionArea reads the first cluster up to where header extensions must end: the backing file name, or the cluster's
// end.
func extensionArea(r io.ReaderAt, fileBytes int64, h Header, fixed []byte) ([]byte, error) {
	end := h.ClusterBytes
	if name := binary.BigEndian.Uint64(fixed[8:]); name != 0 {
		end = int64(min(name, uint64(end)))
	}
	area := make([]byte, min(end, fileBytes))
	return area, readFull(r, area, 0)
}

// parseBacking reads the backing file name.
func (h *Header) parseBacking(r io.ReaderAt, fileBytes int64, fixed []byte) error {
	offset, length := binary.BigEndian.Uint64(fixed[8:]), int64(binary.BigEndian.Uint32(fixed[16:]))
	if offset == 0 {
		return nil
	}
	if length > MaxBackingName || offset > uint64(h.ClusterBytes) || int64(offset)+length > min(h.ClusterBytes, fileBytes) {
		return fmt.Errorf("backing file name of %d bytes at offset %d: want at most %d in the first cluster: %w",
			length, offset, MaxBackingName, ErrDamaged)
	}
	name := make([]byte, length)
	if err := readFull(r, name, int64(offset)); err != nil {
		return err
	}
	h.BackingName = string(name)
	return nil
}

// extensions are the header extensions that matter for reading.
type extensions struct {
	backingFormat string
	dataFile      string
	featureNames  []byte
}

// parseExtensions walks the header extensions in area, from headerBytes on.
func parseExtensions(area []byte, headerBytes int64) (extensions, error) {
	var ext extensions
	for at := headerBytes; at+8 <= int64(len(area)); {
		kind, length := binary.BigEndian.Uint32(area[at:]), int64(binary.BigEndian.Uint32(area[at+4:]))
		if kind == extEnd {
			break
		}
		if length > int64(len(area))-at-8 {
			return ext, fmt.Errorf("header extension %#x of %d bytes at offset %d does not end in the header: %w",
				kind, length, at, ErrDamaged)
		}
		data := area[at+8 : at+8+length]
		switch kind {
		case extBackingFormat:
			ext.backingFormat = string(data)
		case extDataFile:
			ext.dataFile = string(data)
		case extFeatureNames:
			ext.featureNames = data
		}
		at += 8 + ceilDiv(length, 8)*8
	}
	return ext, nil
}

// parseFeatures reads the incompatible features of a version 3 header and refuses those that cannot be read.
func (h *Header) parseFeatures(fixed []byte, headerBytes int64, ext extensions) error {
	h.Compression = "deflate"
	if h.Version == 2 {
		return nil
	}
	features := binary.BigEndian.Uint64(fixed[72:])
	h.Dirty = features&incompatDirty != 0
	h.ExtendedL2 = features&incompatExtendedL2 != 0
	switch {
	case features&^incompatKnown != 0:
		return fmt.Errorf("incompatible feature %s: %w", featureNames(features&^incompatKnown, ext.featureNames), ErrUnsupported)
	case features&incompatCorrupt != 0:
		return fmt.Errorf("marked as corrupt by QEMU (qemu-img check tells more): %w", ErrDamaged)
	case features&incompatDataFile != 0:
		return fmt.Errorf("external data file %q: %w", ext.dataFile, ErrUnsupported)
	case h.ExtendedL2 && h.clusterBits < minExtendedBits:
		return fmt.Errorf("extended L2 entries with clusters of %d bytes: %w", h.ClusterBytes, ErrDamaged)
	}
	var compression byte
	if headerBytes > headerBytesV3 {
		compression = fixed[headerBytesV3]
	}
	if (compression != 0) != (features&incompatCompression != 0) {
		return fmt.Errorf("compression type %d contradicts the feature bits: %w", compression, ErrDamaged)
	}
	switch compression {
	case 0:
	case 1:
		h.Compression = "zstd"
	default:
		return fmt.Errorf("compression type %d: %w", compression, ErrUnsupported)
	}
	return nil
}

// featureNames names feature bits, by the image's own table where it has them.
func featureNames(features uint64, table []byte) string {
	var names []string
	for ; features != 0; features &= features - 1 {
		bit := bits.TrailingZeros64(features)
		name := fmt.Sprintf("bit %d", bit)
		for t := table; len(t) >= featureNameBytes; t = t[featureNameBytes:] {
			if t[0] == 0 && int(t[1]) == bit {
				text, _, _ := bytes.Cut(t[2:featureNameBytes], []byte{0})
				name += fmt.Sprintf(" (%q)", text)
			}
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

// checkL1 reads place and length of the L1 table, which must map all of the virtual size and lie in the file.
func (h *Header) checkL1(fixed []byte, fileBytes int64) error {
	entries, offset := int64(binary.BigEndian.Uint32(fixed[36:])), binary.BigEndian.Uint64(fixed[40:])
	h.l1Entries = ceilDiv(h.SizeBytes, h.ClusterBytes*h.l2Entries())
	switch {
	case entries*8 > maxL1Bytes:
		return fmt.Errorf("L1 table of %d entries: %d bytes at most: %w", entries, maxL1Bytes, ErrDamaged)
	case h.l1Entries > entries:
		return fmt.Errorf("L1 table of %d entries is too small for %d bytes: %w", entries, h.SizeBytes, ErrDamaged)
	case offset%uint64(h.ClusterBytes) != 0:
		return fmt.Errorf("L1 table at offset %d is not at a cluster's start: %w", offset, ErrDamaged)
	case entries > 0 && (offset > uint64(fileBytes) || int64(offset) > fileBytes-entries*8):
		return fmt.Errorf("L1 table at offset %d goes past the end of the file (%d bytes): %w", offset, fileBytes, ErrDamaged)
	}
	h.l1Offset = int64(offset)
	return nil
}

// l2EntryBytes is the length of an L2 entry, l2Entries how many an L2 table has.
func (h *Header) l2EntryBytes() int64 {
	if h.ExtendedL2 {
		return 2 * l2EntryBytes
	}
	return l2EntryBytes
}

func (h *Header) l2Entries() int64 { return h.ClusterBytes / h.l2EntryBytes() }

// readFull reads all of p, whose range the caller has checked against the length of the file.
func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // the file became shorter
	}
	return fmt.Errorf("read %d bytes at offset %d: %w", len(p), off, err)
}

package recovery

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"sync"

	"holdfast/catalog"
	"holdfast/internal/frames"
	"holdfast/internal/qcow2"
	"holdfast/vtape"
)

// maxFindings bounds what is told of one copy: a lost disk should not fill the screen.
const maxFindings = 20

// Verdict is what verification found of one dump in one place.
type Verdict struct {
	Dump catalog.DumpID `json:"dump"`
	// Where names the place: volumes or a holding disk; empty when the dump lies nowhere.
	Where string `json:"where"`
	// Bytes read there; Blocks compared with their digests.
	Bytes  int64 `json:"bytes"`
	Blocks int64 `json:"blocks"`
	// Sealed: it is encrypted and no key given opens it, so that only the checksums of its parts were compared.
	Sealed bool `json:"sealed,omitempty"`
	// Absent: it is on volumes that are not there, so that nothing is known of it.
	Absent bool `json:"absent,omitempty"`
	// Members are the members of parity sets that lack something of the dump, have it short or wrong; each is a problem, too.
	Members []MemberFinding `json:"members,omitempty"`
	// Problems name volume, file and bytes; empty: all is well.
	Problems []string `json:"problems,omitempty"`
}

// Verify reads a dump in every place it lies in and checks each layer: the checksum of each part and of its header, each
// frame, the encryption, the structure of the qcow2 stream, and the digest of each block; on a parity set the parity, too.
// Unlike a restore it stops at nothing and takes nothing from another copy.
func (s *Site) Verify(ctx context.Context, d catalog.Dump) ([]Verdict, error) {
	places, err := s.openPlaces(ctx, d)
	defer func() {
		for _, p := range places {
			_ = p.Close() // only read from
		}
	}()
	var out []Verdict
	if err == nil && len(places) == 0 {
		err = ErrNoCopy
	}
	if err != nil {
		out = append(out, Verdict{Dump: d.ID, Absent: errors.Is(err, vtape.ErrAbsent), Problems: problems(err)})
	}
	if _, chainErr := s.chainOf(ctx, d); chainErr != nil {
		out = append(out, Verdict{Dump: d.ID, Problems: []string{chainErr.Error()}})
	}
	for _, p := range places {
		v := Verdict{Dump: d.ID, Where: p.Name(), Bytes: p.Size()}
		s.verifyStored(ctx, d, p, &v)
		if d.Program == catalog.ProgramImage {
			s.verifyImage(ctx, d, p, &v)
		}
		if ctx.Err() != nil {
			return out, ctx.Err()
		}
		out = append(out, v)
	}
	return out, nil
}

// verifyStored checks the stored stream of one place, and on parity sets that all members hold it.
func (s *Site) verifyStored(ctx context.Context, d catalog.Dump, p stored, v *Verdict) {
	err := p.Verify(ctx)
	v.Problems = append(v.Problems, problems(err)...)
	if err == nil {
		v.Problems = append(v.Problems, problems(verifyWhole(ctx, d, p))...)
	}
	c, ok := p.(copyStream)
	if !ok || ctx.Err() != nil {
		return
	}
	members, memberErr := s.verifyMembers(ctx, c, damagedParts(c.copy, err))
	v.Members = members
	for _, m := range members[:min(len(members), maxFindings)] {
		v.Problems = append(v.Problems, m.String())
	}
	v.Problems = append(v.Problems, problems(memberErr)...)
}

// damagedParts are those that the errors of a joined error are about, by their index in the copy.
func damagedParts(c catalog.Copy, err error) map[int]bool {
	damaged := map[int]bool{}
	for _, e := range unjoin(err) {
		var d *vtape.Damage
		if !errors.As(e, &d) {
			continue
		}
		for i, p := range c.Parts {
			damaged[i] = damaged[i] || p.Label == d.Label && p.File == d.File
		}
	}
	return damaged
}

// verifyWhole compares the checksum of the whole stream where those of its parts are not known, as after a rebuild from
// headers.
func verifyWhole(ctx context.Context, d catalog.Dump, p stored) error {
	c, ok := p.(copyStream)
	unknown := ok && slices.ContainsFunc(c.copy.Parts, func(p catalog.Part) bool { return p.CRC == 0 && p.Bytes > 0 })
	if !unknown || d.StoredCRC == 0 {
		return nil
	}
	sum := crc32.New(vtape.Castagnoli)
	_, err := io.Copy(sum, readerOf(ctx, p))
	if err == nil && sum.Sum32() != d.StoredCRC {
		err = somewhere(p, fmt.Errorf("checksum %08x, want %08x", sum.Sum32(), d.StoredCRC))
	}
	return named(p, err)
}

func (s *Site) chainOf(ctx context.Context, d catalog.Dump) ([]catalog.Dump, error) {
	return catalog.Chain(d.ID, func(id catalog.DumpID) (catalog.Dump, bool) {
		got, err := s.Catalog.Dump(ctx, id)
		return got, err == nil
	})
}

// verifyImage decodes every frame of one place and compares every block it holds.
func (s *Site) verifyImage(ctx context.Context, d catalog.Dump, p stored, v *Verdict) {
	r, set, err := s.openReplica(ctx, d, p)
	if errors.Is(err, frames.ErrNoIdentity) {
		v.Sealed = true
		return
	}
	if err != nil {
		v.Problems = append(v.Problems, err.Error())
		return
	}
	l := &layer{dump: d, site: s, replicas: []*replica{r}, set: set, metadata: r.metadataBytes(set)}
	c := &Chain{site: s, size: d.ImageBytes, layers: []*layer{l}, take: []*qcow2.Set{set}}
	if err := c.openDigests(d); err != nil {
		v.Problems = append(v.Problems, err.Error())
	}
	if c.digests != nil {
		defer c.digests.Close()
		v.Blocks = set.DataClusters()
	}
	var mu sync.Mutex
	err = c.eachFrame(ctx, func(ctx context.Context, j frameJob, buf []byte) error {
		_, err := l.readFrame(ctx, j.frame, buf, func(raw []byte) error { return c.checkSlots(j, raw) })
		if err != nil {
			mu.Lock()
			defer mu.Unlock()
			if len(v.Problems) < maxFindings {
				v.Problems = append(v.Problems, err.Error())
			}
		}
		s.progress(int64(len(j.slots))*qcow2.ClusterBytes, 0)
		return ctx.Err()
	})
	if err != nil {
		v.Problems = append(v.Problems, err.Error())
	}
}

// VerifyVolume checks that a volume still carries the label block that was written on it, to the bit.
func (s *Site) VerifyVolume(ctx context.Context, v catalog.Volume) error {
	dev, err := s.Device(ctx, v.Storage, v.Label)
	if err != nil {
		return fmt.Errorf("volume %s: %w", v.Label, err)
	}
	f, err := dev.Open(ctx, 0)
	if err != nil {
		return fmt.Errorf("volume %s: %w", v.Label, err)
	}
	defer f.Close()
	if v.HeaderCRC == 0 || vtape.Checksum(f.RawHeader()) == v.HeaderCRC {
		return nil
	}
	if h := f.Header(); v.Files == 0 && h.Label == v.Label && h.Stamp < string(v.WriteStamp) {
		return nil // a run was killed between recording that the volume will be overwritten and doing so: nothing of it counts
	}
	err = errors.New("the label block is not the one written")
	if h := f.Header(); h.Label != v.Label || h.Stamp != string(v.WriteStamp) {
		err = fmt.Errorf("it says %s of run %s, want run %s", h.Label, h.Stamp, v.WriteStamp)
	}
	return &vtape.Damage{Label: v.Label, Length: vtape.HeaderBytes, Err: err}
}

// problems gives the lines of a joined error.
func problems(err error) []string {
	var out []string
	for _, e := range unjoin(err) {
		out = append(out, e.Error())
	}
	return out
}

// unjoin gives the errors that errors.Join has put together.
func unjoin(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var out []error
	for _, e := range joined.Unwrap() {
		out = append(out, unjoin(e)...)
	}
	return out
}

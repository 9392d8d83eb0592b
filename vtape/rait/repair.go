package rait

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"holdfast/catalog"
	"holdfast/vtape"
)

// Repair says what is to be written anew.
type Repair struct {
	// Label is the volume, as the catalog knows it.
	Label vtape.Header
	// Members are the names of the members to write anew; none: those that Faults names.
	Members []string
	// Parts is what the catalog knows of the files. With its checksum a part is taken for right only if it has it, and is
	// rebuilt without members that are wrong. It may be empty.
	Parts []catalog.Part
	// Overwrite is the owner's word that members named in Members may lose another volume, or whatever they hold.
	Overwrite bool
	// Progress is told after each file; nil: nobody wants to know.
	Progress func(Progress)
}

// Progress is how far a repair is.
type Progress struct {
	// Member is the one being written; File the file just done, Done of Files.
	Member      string
	File        int
	Done, Files int
	// Written is set when the file was written, not only found to be right. Bytes is its length on the member.
	Written bool
	Bytes   int64
}

// Repair writes members anew from the others, one after another, file by file. It may be killed at any moment and run
// again: files that are right are compared and left. Each file is durable before the next one is begun. A member that
// has not got the volume's label gets one first that says that it is not whole (see doc.go), and the right one last; so
// it counts for nothing before all files are there. On a member that is no vtape.Remover a file that is wrong cannot be
// replaced: then it is formatted and written wholly, once all files were found to be readable without it.
//
// All members are read while a member is repaired, except those still to be repaired.
func (d *Device) Repair(ctx context.Context, o Repair) error {
	if err := d.repair(ctx, o); err != nil {
		return fmt.Errorf("repair volume %s: parity set: %w", o.Label.Label, err)
	}
	return nil
}

func (d *Device) repair(ctx context.Context, o Repair) error {
	label, err := d.readLabel(ctx)
	if err != nil {
		return err
	}
	if o.Label.Label != "" && o.Label.Label != label.Label {
		return fmt.Errorf("the members hold volume %s", label.Label)
	}
	targets, err := d.targets(o)
	if err != nil {
		return err
	}
	for n, i := range targets {
		m := &mending{d: d, o: o, label: label, member: i, source: d.leavingOut(slices.Concat(d.without, targets[n:]))}
		if err := m.run(ctx); err != nil {
			return fmt.Errorf("member %s: %w", d.members[i].Name, err)
		}
		d.whole(i)
	}
	return nil
}

// targets finds the members to write anew.
func (d *Device) targets(o Repair) ([]int, error) {
	var targets []int
	for _, f := range d.Faults() {
		if len(o.Members) == 0 {
			targets = append(targets, f.Index)
		}
	}
	for _, name := range o.Members {
		i := slices.IndexFunc(d.members, func(m Member) bool { return m.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("no member %s", name)
		}
		if !slices.Contains(targets, i) {
			targets = append(targets, i)
		}
	}
	return targets, nil
}

// whole takes a member in again.
func (d *Device) whole(member int) {
	d.state.mu.Lock()
	defer d.state.mu.Unlock()
	delete(d.state.faults, member)
	delete(d.state.dropped, member)
	for key := range d.state.told {
		if key.member == member {
			delete(d.state.told, key)
		}
	}
}

// mending is one member being written anew.
type mending struct {
	d      *Device
	o      Repair
	label  vtape.Header
	member int
	source *Device // without the members that are not whole
}

func (m *mending) dev() vtape.Device { return m.d.members[m.member].Device }

func (m *mending) run(ctx context.Context) error {
	if m.dev() == nil {
		return vtape.ErrAbsent
	}
	files, err := m.source.files(ctx)
	if err != nil {
		return err
	}
	if err := m.begin(ctx); err != nil {
		return err
	}
	err = m.files(ctx, files)
	if errors.Is(err, errCannotReplace) {
		if err = m.startOver(ctx, files); err == nil {
			err = m.files(ctx, files)
		}
	}
	if err != nil {
		return err
	}
	return m.end(ctx)
}

func (m *mending) files(ctx context.Context, files []vtape.File) error {
	for n, f := range files {
		written, err := m.file(ctx, f.Number)
		if err != nil {
			return fmt.Errorf("file %d: %w", f.Number, err)
		}
		if m.o.Progress != nil {
			m.o.Progress(Progress{
				Member: m.d.members[m.member].Name, File: f.Number, Done: n + 1, Files: len(files),
				Written: written, Bytes: m.d.memberBytes(f.Bytes),
			})
		}
	}
	return nil
}

// begin makes sure that the member has a label of the volume: the right one, or one that says that it is not whole.
func (m *mending) begin(ctx context.Context) error {
	s := m.d.lookAt(ctx, m.member)
	ours := s.h.Label == m.label.Label
	switch {
	case s.err == nil && ours && s.h.Stamp == m.label.Stamp:
		return nil
	case errors.Is(s.err, errUnrepaired) && ours && s.h.Stamp == m.label.Stamp:
		return nil // an earlier repair was cut short
	case s.err == nil && ours, errors.Is(s.err, errUnrepaired) && ours, errors.Is(s.err, vtape.ErrBlank):
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(s.err, vtape.ErrAbsent):
		return s.err
	case slices.Contains(m.o.Members, m.d.members[m.member].Name) && m.o.Overwrite:
	case s.err == nil:
		return fmt.Errorf("%w: %s", errOtherLabel, s.h.Label)
	default:
		return s.err
	}
	return m.dev().Format(ctx, m.firstLabel())
}

// firstLabel is the label of a member that is not whole, or the right one where it could not be replaced later.
func (m *mending) firstLabel() vtape.Header {
	h := m.d.memberHeader(m.label, m.member, nil)
	if _, ok := m.dev().(vtape.Mender); ok {
		i := m.d.info(m.member)
		i.Repair = true
		h.MemberLine = i.line()
	}
	return h
}

// end gives the member its label.
func (m *mending) end(ctx context.Context) error {
	s := m.d.lookAt(ctx, m.member)
	if !errors.Is(s.err, errUnrepaired) {
		return s.err
	}
	mender, ok := m.dev().(vtape.Mender)
	if !ok {
		return s.err
	}
	return mender.Relabel(ctx, m.d.memberHeader(m.label, m.member, nil))
}

var (
	errCannotReplace = errors.New("single files cannot be replaced there")
	errWrongSum      = errors.New("the checksum is not that of the catalog")
)

// startOver formats a member on which single files cannot be replaced. What it holds may be needed for nothing.
func (m *mending) startOver(ctx context.Context, files []vtape.File) error {
	for _, f := range files {
		if _, err := m.rightSource(ctx, f.Number, nil); err != nil {
			return fmt.Errorf("file %d cannot be read without the member: %w", f.Number, err)
		}
	}
	return m.dev().Format(ctx, m.firstLabel())
}

// part is what the catalog knows of a file.
func (m *mending) part(number int) catalog.Part {
	for _, p := range m.o.Parts {
		if p.File == number && (p.Label == "" || p.Label == m.label.Label) {
			return p
		}
	}
	return catalog.Part{File: number}
}

// file makes one file right, and tells whether it had to be written.
func (m *mending) file(ctx context.Context, number int) (written bool, err error) {
	same := false
	source, err := m.rightSource(ctx, number, &same)
	if err != nil || same {
		return false, err
	}
	have, err := m.dev().Files(ctx)
	if err != nil {
		return false, err
	}
	if slices.ContainsFunc(have, func(f vtape.File) bool { return f.Number == number }) {
		remover, ok := m.dev().(vtape.Remover)
		if !ok {
			return false, errCannotReplace
		}
		if err := remover.Remove(ctx, number); err != nil {
			return false, err
		}
	}
	return true, m.write(ctx, source, number)
}

// rightSource finds the members to rebuild the file from: all others, or, when the part has not its checksum then, a
// choice of them. Same, if not nil, is set when the member has the file as it should be.
func (m *mending) rightSource(ctx context.Context, number int, same *bool) (*Device, error) {
	try := func(d *Device) error {
		c := &comparing{m: m}
		defer c.close()
		if same != nil {
			c.open(ctx, number)
		}
		if err := m.stream(ctx, d, number, c); err != nil {
			return err
		}
		if same != nil {
			*same = c.same()
		}
		return nil
	}
	err := try(m.source)
	if !errors.Is(err, errWrongSum) {
		return m.source, err
	}
	for _, v := range m.source.Variants() {
		v := v.(*Device)
		if try(v) == nil {
			return v, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return nil, err
}

// sink takes what a member should hold of a file.
type sink interface {
	header(h vtape.Header) error
	Write(p []byte) (int, error)
}

// stream rebuilds a member's file from a source. When the part turns out not to have its checksum, that is the error,
// after all of it has gone to the sink.
func (m *mending) stream(ctx context.Context, source *Device, number int, to sink) error {
	r, err := source.open(ctx, number)
	if err != nil {
		return err
	}
	defer r.Close()
	if r.header == (vtape.Header{}) {
		return errors.New("no member has its header")
	}
	if err := to.header(m.d.memberHeader(r.header, m.member, &r.size)); err != nil {
		return err
	}
	p := m.part(number)
	if p.CRC != 0 && p.Bytes > r.size {
		return fmt.Errorf("%d bytes, want %d", r.size, p.Bytes)
	}
	f := m.d.form
	w := &partWriter{d: m.d}
	buf := make([]byte, f.round()*f.stripe())
	sum := uint32(0)
	for off := int64(0); off < r.size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		data := buf[:min(int64(len(buf)), r.size-off)]
		if n, err := r.ReadAt(data, off); n < len(data) {
			return err
		}
		if p.CRC != 0 {
			known := max(0, min(int64(len(data)), p.Bytes-off))
			sum = crc32.Update(sum, vtape.Castagnoli, data[:known])
			clear(data[known:]) // the padding has no checksum, but nobody needs one to know it
		}
		shards := w.split(data)
		if err := m.d.codec.encode(shards); err != nil {
			return err
		}
		if _, err := to.Write(shards[m.member]); err != nil {
			return err
		}
		off += int64(len(data))
	}
	if p.CRC != 0 && sum != p.CRC {
		return fmt.Errorf("%w: %08x, want %08x", errWrongSum, sum, p.CRC)
	}
	return nil
}

// write writes the file to the member.
func (m *mending) write(ctx context.Context, source *Device, number int) error {
	w := &creating{m: m, ctx: func() context.Context { return ctx }, number: number}
	if err := m.stream(ctx, source, number, w); err != nil {
		if w.w != nil {
			err = errors.Join(err, w.w.Abort())
		}
		return err
	}
	if _, err := w.w.Close(); err != nil {
		return errors.Join(err, w.w.Abort())
	}
	return nil
}

// creating is a sink that writes to the member.
type creating struct {
	m      *mending
	ctx    func() context.Context // of the repair
	number int
	w      vtape.PartWriter
}

func (c *creating) header(h vtape.Header) (err error) {
	w, err := c.m.dev().Create(c.ctx(), c.number, h)
	if err == nil {
		c.w = w
	}
	return err
}

func (c *creating) Write(p []byte) (int, error) { return c.w.Write(p) }

// comparing is a sink that compares with what the member has.
type comparing struct {
	m     *mending
	r     vtape.PartReader // nil when there is nothing to compare with
	off   int64
	buf   []byte
	wrong bool
}

func (c *comparing) open(ctx context.Context, number int) {
	r, err := c.m.dev().Open(ctx, number)
	if err == nil {
		c.r = r
	}
}

func (c *comparing) close() {
	if c.r != nil {
		_ = c.r.Close() // it was only read
	}
}

func (c *comparing) same() bool { return c.r != nil && !c.wrong && c.off == c.r.SizeBytes() }

func (c *comparing) header(h vtape.Header) error {
	block, err := h.Block()
	c.wrong = c.r == nil || !bytes.Equal(block, c.r.RawHeader())
	return err
}

func (c *comparing) Write(p []byte) (int, error) {
	if !c.wrong {
		c.buf = slices.Grow(c.buf[:0], len(p))[:len(p)]
		n, _ := c.r.ReadAt(c.buf, c.off) // what cannot be read is wrong
		c.wrong = n < len(p) || !bytes.Equal(c.buf, p)
	}
	c.off += int64(len(p))
	return len(p), nil
}

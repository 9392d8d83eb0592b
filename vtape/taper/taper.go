package taper

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/catalog"
	"holdfast/vtape"
)

// ErrNoVolume: there is no volume to write to; the text around it says why.
var ErrNoVolume = errors.New("no volume")

// Scan finds the next volume to write.
type Scan interface {
	// Next gives a volume that may be written, labelled for this run. It is called by the goroutine that writes, once for
	// each volume that is needed. ErrNoVolume when there is none, with the reason.
	Next(ctx context.Context) (Mounted, error)
}

// Mounted is a volume ready to be written.
type Mounted struct {
	Device vtape.Device
	Label  catalog.Label
	Slot   string
	// Capacity is the volume's length in bytes.
	Capacity int64
	// NextFile is the number of the first file to write; 0 means 1.
	NextFile int
	// New is set when a blank volume was labelled.
	New bool
}

// Feedback is told what happens, by the goroutine that writes, in order. An error of any method stops the taper: what
// cannot be recorded must not go on. The contexts given are never cancelled, because what is told has happened.
type Feedback interface {
	VolumeStarted(ctx context.Context, v catalog.VolumeStarted) error
	// PartWritten is called when the part is durable.
	PartWritten(ctx context.Context, p catalog.Part, seconds float64) error
	// VolumeFinished is called when nothing more will be written to the volume. The cause is nil when it is full or the
	// run has ended, else what went wrong with it.
	VolumeFinished(ctx context.Context, v catalog.VolumeFinished, cause error) error
}

// Options make a Taper.
type Options struct {
	Scan     Scan
	Feedback Feedback
	// PartBytes is the size of a part, rounded up to a multiple of vtape.PartAlign; 0: a part ends only with its volume.
	PartBytes int64
	Storage   string
	// WriteStamp is the stamp of the run that writes.
	WriteStamp catalog.Stamp
	// RunVolumes is how many volumes may be used; 0: as many as Scan gives.
	RunVolumes int
	Clock      func() time.Time
}

// Taper writes dumps to one volume at a time, one after another. It is used by one goroutine.
type Taper struct {
	o       Options
	vol     *volume // being written; nil when the next dump needs another
	used    int     // volumes so far
	stopped error   // Feedback failed
}

// volume is the one being written.
type volume struct {
	Mounted
	next  int   // number of the next file
	files int   // written
	bytes int64 // written, headers and label included
}

// New makes a taper. It asks for a volume when there is something to write.
func New(o Options) *Taper {
	o.PartBytes = (o.PartBytes + vtape.PartAlign - 1) / vtape.PartAlign * vtape.PartAlign
	return &Taper{o: o}
}

// Close ends the volume that is being written. The taper is of no use afterwards.
func (t *Taper) Close(ctx context.Context) error {
	if t.stopped != nil {
		return t.stopped
	}
	return t.finishVolume(ctx, nil)
}

// volume gives the volume to write to: the current one, or the next.
func (t *Taper) volume(ctx context.Context) (*volume, error) {
	if t.vol != nil {
		return t.vol, nil
	}
	if n := t.o.RunVolumes; n > 0 && t.used >= n {
		return nil, fmt.Errorf("%w: %s filled; run-volumes: %d allows no more", ErrNoVolume, volumes(t.used), n)
	}
	m, err := t.o.Scan.Next(ctx)
	if err != nil {
		return nil, err
	}
	t.used++
	t.vol = &volume{Mounted: m, next: max(1, m.NextFile), bytes: vtape.HeaderBytes}
	err = t.o.Feedback.VolumeStarted(context.WithoutCancel(ctx), catalog.VolumeStarted{
		Storage: t.o.Storage, Label: m.Label, Slot: m.Slot, Capacity: m.Capacity, New: m.New,
	})
	if err != nil {
		return nil, t.stop(fmt.Errorf("volume %s: record start: %w", m.Label, err))
	}
	return t.vol, nil
}

func volumes(n int) string {
	if n == 1 {
		return "1 volume"
	}
	return fmt.Sprintf("%d volumes", n)
}

// finishVolume ends the current volume, if there is one.
func (t *Taper) finishVolume(ctx context.Context, cause error) error {
	v := t.vol
	if v == nil {
		return nil
	}
	t.vol = nil
	err := t.o.Feedback.VolumeFinished(context.WithoutCancel(ctx), catalog.VolumeFinished{
		Storage: t.o.Storage, Label: v.Label, Bytes: v.bytes, Files: v.files,
	}, cause)
	if err != nil {
		return t.stop(fmt.Errorf("volume %s: record end: %w", v.Label, err))
	}
	return nil
}

func (t *Taper) stop(err error) error {
	t.stopped = err
	return err
}

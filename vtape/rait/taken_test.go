package rait_test

import (
	"context"
	"errors"
	"testing"

	"holdfast/vtape"
	"holdfast/vtape/devicetest"
	"holdfast/vtape/dir"
	"holdfast/vtape/rait"
)

// contended is a member that another writer takes, as a bucket tells it: when it is labelled, or when a file ends.
type contended struct {
	*dir.Device
	label, file bool
}

func (c *contended) Format(ctx context.Context, h vtape.Header) error {
	if c.label {
		return vtape.ErrTaken
	}
	return c.Device.Format(ctx, h)
}

func (c *contended) Create(ctx context.Context, number int, h vtape.Header) (vtape.PartWriter, error) {
	w, err := c.Device.Create(ctx, number, h)
	if err == nil && c.file {
		w = contendedWriter{w}
	}
	return w, err
}

type contendedWriter struct{ vtape.PartWriter }

func (contendedWriter) Close() (uint32, error) { return 0, vtape.ErrTaken }

// contend gives the set with one member that another takes.
func (x *set) contend(of int, c contended) *rait.Device {
	x.Helper()
	list := x.memberList()
	c.Device = dir.New(x.fsys, member(of), x.opts)
	list[of].Device = &c
	d, err := rait.New(list, rait.Options{Parity: x.parity})
	must(x, err)
	return d
}

// Of two that label a set at once, each may get as many members as it takes to read it, and both would write. So who finds that
// a member is taken has not the set, even if the others are enough.
func TestTakenWhileLabelled(t *testing.T) {
	for _, s := range []shape{{2, 1}, {3, 1}, {6, 2}} {
		for of := range s.members {
			x := newSet(t, s)
			if err := x.contend(of, contended{label: true}).Format(ctx, devicetest.Label("DEMO-001")); !errors.Is(err, vtape.ErrTaken) {
				t.Errorf("%s: a blank set, member %d is taken: %v", s, of, err)
			}
			x = newSet(t, s)
			must(t, x.open().Format(ctx, devicetest.Label("DEMO-001")))
			if err := x.contend(of, contended{label: true}).Format(ctx, devicetest.Label("DEMO-002")); !errors.Is(err, vtape.ErrTaken) {
				t.Errorf("%s: a labelled set, member %d is taken: %v", s, of, err)
			}
			// Whoever came first goes on with the members behind it undisturbed, as the first one decides.
			for i := range s.members {
				if h, err := x.on(i).ReadLabel(ctx); err != nil || h.Label != "DEMO-001" {
					t.Errorf("%s: member %d is taken, and member %d has label %q, %v", s, of, i, h.Label, err)
				}
			}
		}
	}
}

// A part is lost with one member that was taken: the others' would stand beside another writer's.
func TestTakenWhileWritten(t *testing.T) {
	for _, s := range []shape{{2, 1}, {6, 2}} {
		x := newSet(t, s)
		d := x.contend(1, contended{file: true})
		must(t, d.Format(ctx, devicetest.Label("DEMO-001")))
		w, err := d.Create(ctx, 1, devicetest.Header(1))
		must(t, err)
		_, err = w.Write(devicetest.Data(1, 100_000))
		must(t, err)
		if _, err := w.Close(); !errors.Is(err, vtape.ErrTaken) {
			t.Errorf("%s: close: %v", s, err)
		}
		must(t, w.Abort())
		if files, err := x.open().Files(ctx); err != nil || len(files) > 0 {
			t.Errorf("%s: files %v, %v", s, files, err)
		}
	}
}

package dumpertest_test

import (
	"testing"

	"holdfast/dumpers/dumpertest"
)

// memFactory makes sources in memory, changed as told.
func memFactory(prepare func(*dumpertest.Mem)) dumpertest.Factory {
	return func(t *testing.T, c dumpertest.Content) dumpertest.Fixture {
		m := dumpertest.NewMem("vda", c.SizeBytes)
		for _, b := range c.Blocks {
			m.Write(b.Offset, b.Data)
		}
		prepare(m)
		return dumpertest.Fixture{
			Source: m, Disk: "vda",
			Write: func(_ *testing.T, off int64, p []byte) { m.Write(off, p) },
		}
	}
}

func TestMem(t *testing.T) { dumpertest.Run(t, memFactory(func(*dumpertest.Mem) {})) }

func TestMemThatTracks(t *testing.T) { dumpertest.Run(t, memFactory((*dumpertest.Mem).Track)) }

func TestMemOverlay(t *testing.T) {
	dumpertest.Run(t, func(t *testing.T, c dumpertest.Content) dumpertest.Fixture {
		base := dumpertest.NewMem("base", c.SizeBytes)
		for i, b := range c.Blocks {
			if i%2 == 0 {
				base.Write(b.Offset, b.Data)
			}
		}
		m := dumpertest.NewOverlay("vda", c.SizeBytes, base)
		for i, b := range c.Blocks {
			if i%2 == 1 {
				m.Write(b.Offset, b.Data)
			}
		}
		return dumpertest.Fixture{
			Source: m, Disk: "vda",
			Write: func(_ *testing.T, off int64, p []byte) { m.Write(off, p) },
		}
	})
}

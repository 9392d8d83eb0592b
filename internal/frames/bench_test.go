package frames

import (
	"bytes"
	"fmt"
	"io"
	"testing"
)

func BenchmarkCodec(b *testing.B) {
	inputs := map[string][]byte{"mixed": mixedData(FrameBytes, 1), "zero": make([]byte, FrameBytes)}
	for name, newCodec := range testCodecs() {
		for what, raw := range inputs {
			for _, l := range []Level{Fast, Default, Best} {
				c, err := newCodec(l)
				if err != nil {
					b.Fatal(err)
				}
				c = &zeroCodec{codec: c}
				var frame []byte
				b.Run(fmt.Sprintf("encode/%s/%s/%v", name, what, l), func(b *testing.B) {
					b.SetBytes(FrameBytes)
					b.ReportAllocs()
					for b.Loop() {
						if frame, err = c.encode(frame, raw); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(len(frame))/FrameBytes, "ratio")
				})
				back := make([]byte, FrameBytes)
				b.Run(fmt.Sprintf("decode/%s/%s/%v", name, what, l), func(b *testing.B) {
					b.SetBytes(FrameBytes)
					b.ReportAllocs()
					for b.Loop() {
						if err := c.decode(back, frame); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	raw := mixedData(16*FrameBytes, 1)
	frames := pieces(raw, FrameBytes)
	for _, f := range allForms() {
		b.Run(f.String(), func(b *testing.B) {
			b.SetBytes(FrameBytes)
			b.ReportAllocs()
			o := f.options()
			o.Workers = 0
			w, err := NewWriter(b.Context(), io.Discard, o)
			if err != nil {
				b.Fatal(err)
			}
			i := 0
			for b.Loop() {
				if err := w.Add(frameOf(frames[i%len(frames)])); err != nil {
					b.Fatal(err)
				}
				i++
			}
			if _, err := w.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func BenchmarkReadFrame(b *testing.B) {
	raw := mixedData(16*FrameBytes, 1)
	for _, f := range allForms() {
		stored, _ := f.store(b, raw)
		r := f.open(b, stored, 0)
		b.Run(f.String(), func(b *testing.B) {
			b.SetBytes(FrameBytes)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				var buf []byte
				for i := 0; pb.Next(); i++ {
					var err error
					if buf, err = r.ReadFrame(b.Context(), i%16, buf); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

// BenchmarkReadAt reads 4 KiB at places far apart: every read decodes a frame.
func BenchmarkReadAt(b *testing.B) {
	raw := mixedData(64*FrameBytes, 1)
	for _, f := range []form{{level: None, encrypt: true}, {level: Default}, {level: Default, encrypt: true}} {
		stored, _ := f.store(b, raw)
		r := f.open(b, stored, 0)
		b.Run(f.String(), func(b *testing.B) {
			b.ReportAllocs()
			p := make([]byte, 4096)
			i := 0
			for b.Loop() {
				if _, err := r.ReadAt(p, int64(i*37%64)*FrameBytes+12345); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	raw := bytes.Repeat([]byte{1}, 64*FrameBytes)
	f := form{level: Default, encrypt: true}
	var out bytes.Buffer
	f.storeTo(b, &out, raw, 4096)
	for b.Loop() {
		f.open(b, out.Bytes(), 0)
	}
}

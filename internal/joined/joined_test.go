package joined

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// pieces cuts data and counts what is open.
type pieces struct {
	mu         sync.Mutex
	open, most int
}

type openPiece struct {
	*bytes.Reader
	p *pieces
}

func (o openPiece) Close() error {
	o.p.mu.Lock()
	defer o.p.mu.Unlock()
	o.p.open--
	return nil
}

func (p *pieces) cut(data []byte, sizes ...int) []Piece {
	var list []Piece
	for _, n := range sizes {
		own := data[:n]
		data = data[n:]
		list = append(list, Piece{Bytes: int64(n), Open: func() (ReaderAtCloser, error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.open++
			p.most = max(p.most, p.open)
			return openPiece{bytes.NewReader(own), p}, nil
		}})
	}
	return list
}

func TestReadsWhatWasCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.IntRange(0, 9), 1, 40).Draw(t, "sizes")
		total := 0
		for _, n := range sizes {
			total += n
		}
		data := make([]byte, total)
		for i := range data {
			data[i] = byte(i)
		}
		var p pieces
		r := New(p.cut(data, sizes...))
		if r.Size() != int64(total) {
			t.Fatalf("size %d, want %d", r.Size(), total)
		}
		for range 20 {
			off := rapid.IntRange(0, total+2).Draw(t, "off")
			buf := make([]byte, rapid.IntRange(0, total+2).Draw(t, "length"))
			n, err := r.ReadAt(buf, int64(off))
			want := data[min(off, total):min(off+len(buf), total)]
			if !bytes.Equal(buf[:n], want) {
				t.Fatalf("at %d: %v, want %v", off, buf[:n], want)
			}
			if (err == io.EOF) != (n < len(buf)) || err != nil && err != io.EOF {
				t.Fatalf("at %d: %d of %d bytes and error %v", off, n, len(buf), err)
			}
			if off < total {
				i, within := r.Find(int64(off))
				one := make([]byte, 1)
				if err := r.pieceAt(i, one, within); err != nil || one[0] != data[off] {
					t.Fatalf("find %d: piece %d, byte %d: %v %v", off, i, within, one, err)
				}
			}
		}
		if p.most > keepOpen+1 {
			t.Fatalf("%d open at once", p.most)
		}
		if err := r.Close(); err != nil || p.open != 0 {
			t.Fatalf("%d open after Close, error %v", p.open, err)
		}
	})
}

func (r *Reader) pieceAt(i int, p []byte, within int64) error {
	_, err := r.readPiece(i, p, within)
	return err
}

func TestManyReadersAtOnce(t *testing.T) {
	data := make([]byte, 3000)
	for i := range data {
		data[i] = byte(i / 7)
	}
	sizes := make([]int, 100)
	for i := range sizes {
		sizes[i] = 30
	}
	var p pieces
	r := New(p.cut(data, sizes...))
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			buf := make([]byte, 50)
			for i := range 500 {
				off := (i*37 + g*113) % (len(data) - len(buf))
				if _, err := r.ReadAt(buf, int64(off)); err != nil || !bytes.Equal(buf, data[off:off+50]) {
					t.Errorf("at %d: wrong bytes, error %v", off, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if p.open > keepOpen {
		t.Errorf("%d stay open", p.open)
	}
}

func TestErrors(t *testing.T) {
	broken := errors.New("broken")
	tries := 0
	r := New([]Piece{
		{Bytes: 4, Open: func() (ReaderAtCloser, error) { // cut short
			return openPiece{bytes.NewReader([]byte("abc")), &pieces{}}, nil
		}},
		{Bytes: 4, Open: func() (ReaderAtCloser, error) {
			if tries++; tries == 1 {
				return nil, broken
			}
			return openPiece{bytes.NewReader([]byte("efgh")), &pieces{}}, nil
		}},
	})
	buf := make([]byte, 4)
	if n, err := r.ReadAt(buf, 0); n != 3 || err != io.ErrUnexpectedEOF {
		t.Errorf("piece cut short: %d, %v", n, err)
	}
	if _, err := r.ReadAt(buf, 4); err != broken {
		t.Errorf("piece that does not open: %v", err)
	}
	if _, err := r.ReadAt(buf, 4); err != nil || string(buf) != "efgh" {
		t.Errorf("opened on the second try: %q, %v", buf, err)
	}
	if _, err := r.ReadAt(buf, -1); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("negative offset: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := r.ReadAt(buf, 0); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if n := New(nil).Size(); n != 0 {
		t.Errorf("nothing joined has %d bytes", n)
	}
}

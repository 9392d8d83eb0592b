package s3

import (
	"sync"
)

const (
	// windowBytes is the unit that is read and kept: what a read in the middle of nowhere costs.
	windowBytes = 1 << 20
	// runWindows is the most that one request asks for.
	runWindows = 8
	// maxAhead is how far sequential reading runs ahead, in windows.
	maxAhead = 32
	// maxWindows is how many windows are kept of a file: its memory.
	maxWindows = maxAhead + 2*runWindows
)

// window is a piece of a file's data, whole once ready is closed.
type window struct {
	ready chan struct{}
	data  []byte
	err   error
	used  int64 // when it was used last, or is expected to be, by the count of reads
}

// windows is what was read of a file lately, and what is being read ahead.
type windows struct {
	r  *partReader
	wg sync.WaitGroup // of the fetching goroutines

	mu      sync.Mutex // guards all below
	byIndex map[int64]*window
	last    int64 // the window that a read ended in
	ahead   int64 // how many windows are read ahead of a sequential reader
	reads   int64
}

func newWindows(r *partReader) *windows {
	return &windows{r: r, byIndex: make(map[int64]*window), last: -1}
}

// read fills p, which lies within the file, and gives how many bytes are right from its beginning on.
func (w *windows) read(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		// A read longer than what is kept is done in steps.
		step := p[n:min(len(p), n+runWindows*windowBytes)]
		got, err := w.readStep(step, off+int64(n))
		n += got
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func (w *windows) readStep(p []byte, off int64) (n int, err error) {
	first, last := off/windowBytes, (off+int64(len(p))-1)/windowBytes
	for i, win := range w.want(first, last) {
		<-win.ready
		if win.err != nil {
			// What came of the window before the fault is good.
			return n + copyFrom(p[n:], win.data, off+int64(n)-(first+int64(i))*windowBytes), win.err
		}
		n += copyFrom(p[n:], win.data, off+int64(n)-(first+int64(i))*windowBytes)
	}
	return n, nil
}

func copyFrom(p, data []byte, at int64) int {
	if at >= int64(len(data)) {
		return 0
	}
	return copy(p, data[at:])
}

// want gives the windows from first to last, and has those fetched that are not there, and some ahead of a reader who
// goes from front to back.
func (w *windows) want(first, last int64) []*window {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reads++
	end := last + 1
	switch {
	case first != w.last && first != w.last+1:
		w.ahead = 0
	case last > w.last:
		w.ahead = min(max(1, 2*w.ahead), maxAhead)
	}
	w.last = last
	// Not a window at a time, but when half of what is ahead is used up.
	if far := min(last+1+w.ahead, w.count()); w.missing(last+1, min(last+1+w.ahead/2, far)) {
		end = far
	}
	w.startRuns(first, end)
	list := make([]*window, 0, last-first+1)
	for i := first; i <= last; i++ {
		w.byIndex[i].used = w.reads
		list = append(list, w.byIndex[i])
	}
	w.evict()
	return list
}

// count is how many windows the file has.
func (w *windows) count() int64 { return (w.r.size + windowBytes - 1) / windowBytes }

func (w *windows) missing(from, to int64) bool {
	for i := from; i < to; i++ {
		if w.byIndex[i] == nil {
			return true
		}
	}
	return from == to && w.byIndex[from] == nil
}

// startRuns fetches the windows from first up to end that are not there, in runs.
func (w *windows) startRuns(first, end int64) {
	for i := first; i < end; {
		var run []*window
		from := i
		for ; i < end && w.byIndex[i] == nil && len(run) < runWindows; i++ {
			// As if it were used when it is expected to be: what is read ahead must outlast what is behind.
			win := &window{ready: make(chan struct{}), used: w.reads + i - first}
			w.byIndex[i] = win
			run = append(run, win)
		}
		if len(run) == 0 {
			i++
			continue
		}
		w.wg.Go(func() { w.fill(from, run) })
	}
}

// fill fetches a run of windows that begins with number from.
func (w *windows) fill(from int64, run []*window) {
	off := from * windowBytes
	end := min(off+int64(len(run))*windowBytes, w.r.size)
	at := 0
	err := w.r.fetch(off, end, func(data []byte) {
		for len(data) > 0 {
			win := run[at]
			size := min(windowBytes, end-off-int64(at)*windowBytes)
			if win.data == nil {
				win.data = make([]byte, 0, size)
			}
			n := min(len(data), cap(win.data)-len(win.data))
			win.data = append(win.data, data[:n]...)
			data = data[n:]
			if int64(len(win.data)) == size {
				close(win.ready)
				at++
			}
		}
	})
	if err != nil {
		w.fail(from, run, at, err)
	}
}

// fail ends the windows of a run that did not become whole. They are forgotten, so that a later read tries again.
func (w *windows) fail(from int64, run []*window, at int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := at; i < len(run); i++ {
		run[i].err = err
		delete(w.byIndex, from+int64(i))
		close(run[i].ready)
	}
}

// evict forgets the whole windows that were used longest ago, when there are too many.
func (w *windows) evict() {
	for len(w.byIndex) > maxWindows {
		oldest := int64(-1)
		for i, win := range w.byIndex {
			if whole(win) && win.used < w.reads && (oldest < 0 || win.used < w.byIndex[oldest].used) {
				oldest = i
			}
		}
		if oldest < 0 {
			return
		}
		delete(w.byIndex, oldest)
	}
}

func whole(win *window) bool {
	select {
	case <-win.ready:
		return true
	default:
		return false
	}
}

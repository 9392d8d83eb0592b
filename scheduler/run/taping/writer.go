// Package taping writes the dumps of one run to the volumes of one storage, while other dumps are still being made and
// other storages are written.
//
// Its invariant: what a Writer waits for is its own storage alone. Each has its queue, its workers with a volume each, and
// its own reason to write no more; a storage that is slow or dead stops no other.
package taping

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"holdfast/catalog"
	"holdfast/catalog/sqlstore"
	"holdfast/configs"
	"holdfast/scheduler/retention"
	"holdfast/vtape/library"
	"holdfast/vtape/taper"
)

// ErrGone: the dump was let go of on the holding disk before its turn came. It is written another time, from volumes.
var ErrGone = errors.New("no longer on the holding disk")

// ErrNoTaper: the administrator asked for no writing to volumes.
var ErrNoTaper = errors.New("not written to a volume: --no-taper")

// Options make a Writer. The functions may be called from several goroutines.
type Options struct {
	Storage configs.Storage
	// Stamp is the run's.
	Stamp catalog.Stamp
	Store *sqlstore.Store
	Now   func() time.Time
	// Open opens the storage's library.
	Open func(ctx context.Context) (*library.Library, error)
	// Verdicts are retention's on the volumes of all storages, and these volumes.
	Verdicts func(ctx context.Context) (retention.Verdicts, []catalog.Volume, error)
	// Labels is held while a new label is given, so that no two storages give the same.
	Labels *sync.Mutex
	Event  func(ctx context.Context, bodies ...catalog.EventBody) error
	// Written is told of each dump that is whole on the storage, when that is recorded. An error stops the run.
	Written func(ctx context.Context, id catalog.DumpID) error
	// Changed is called when the writer has less to do, or can write no more.
	Changed func()
	// Urgent tells that a dump waits for room on the holding disk, so that no threshold counts.
	Urgent func() bool
	// Record makes what is written last; nil for nothing.
	Record Record
	// Off, when not nil, is why nothing is to be written at all.
	Off error
}

// Result is what became of a job.
type Result struct {
	taper.Result
	Err error
}

// Job is a dump to be written: Open or Direct.
type Job struct {
	// Dump says which; what is not known of a direct dump yet is left zero.
	Dump catalog.Dump
	// Open opens a dump at rest, and gives what closes it. ErrGone is no failure.
	Open func(ctx context.Context) (taper.Dump, func() error, error)
	// Held tells that it lies on the holding disk, Elsewhere that it is whole on other volumes.
	Held, Elsewhere bool
	// Urgent jobs go before all others, whatever the thresholds say.
	Urgent bool
	// Direct writes a dump that is being made. It is not called when nothing can be written.
	Direct func(t *taper.Taper) (taper.Result, error)
	// Result, which must not block, is told the outcome; nil for none.
	Result chan<- Result
}

// Writer writes to one storage. Its methods may be called from several goroutines.
type Writer struct {
	o Options

	scan scan

	mu   sync.Mutex // guards what follows
	cond *sync.Cond // told of every change
	// urgent and queue are what waits.
	urgent, queue []Job
	workers       []*worker
	busy          int // workers with a job
	probed        bool
	off           error // why nothing can be written (any more)
	volumes       int   // begun in this run
	comingBytes   int64 // of dumps still to be made
	dumping       bool
	closing       bool
	failed        error // the catalog could not be written: the run must stop

	// recording is the id of the catalog record while it is written, when all workers have ended; empty before.
	recording catalog.DumpID

	ended sync.WaitGroup
}

// New makes a writer. It does nothing before Start.
func New(o Options) *Writer {
	w := &Writer{o: o, off: o.Off, probed: o.Off != nil, dumping: true}
	w.cond = sync.NewCond(&w.mu)
	w.scan.bad = map[string]error{}
	for range max(1, o.Storage.ParallelWrite) {
		k := &worker{w: w}
		k.taper = taper.New(taper.Options{
			Scan: k, Feedback: k, PartBytes: int64(o.Storage.PartSize), Storage: o.Storage.Name, WriteStamp: o.Stamp, Clock: o.Now,
		})
		w.workers = append(w.workers, k)
	}
	return w
}

// Storage is what it writes to.
func (w *Writer) Storage() configs.Storage { return w.o.Storage }

// Start looks whether the storage can be written, and begins to write what is added. Close must follow.
func (w *Writer) Start(ctx context.Context) {
	if w.o.Off == nil {
		w.ended.Go(func() { w.probe(ctx) })
	}
	for _, k := range w.workers {
		w.ended.Go(func() { k.work(ctx) })
	}
}

// Add hands a dump over. It never waits.
func (w *Writer) Add(j Job) {
	w.change(func() {
		if j.Direct != nil || j.Urgent {
			w.urgent = append(w.urgent, j)
		} else {
			w.queue = append(w.queue, j)
		}
	})
}

// Expect counts bytes of dumps that are still to be made for this storage; negative when they are made, or will not be.
func (w *Writer) Expect(bytes int64) { w.change(func() { w.comingBytes += bytes }) }

// Settle says that no more dumps are made, and waits until all is written that can and may be.
func (w *Writer) Settle() {
	w.change(func() { w.dumping = false })
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.idle() {
		w.cond.Wait()
	}
}

// Close lets the workers finish, waits for them, and writes the catalog record. The error is one of the catalog: the run must
// stop.
func (w *Writer) Close(ctx context.Context) error {
	w.change(func() { w.dumping, w.closing = false, true })
	w.ended.Wait()
	w.finish(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed
}

// Poke makes the workers look at the thresholds anew.
func (w *Writer) Poke() { w.change(func() {}) }

// State tells whether the first look at the storage is over, and why nothing can be written; nil when it can.
func (w *Writer) State() (probed bool, off error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.probed, w.off
}

// Working tells whether something is being written, or will be.
func (w *Writer) Working() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.off == nil && (!w.probed || w.busy > 0 || len(w.queue)+len(w.urgent) > 0)
}

// Waiting counts the dumps that are left in the queue, and their bytes.
func (w *Writer) Waiting() (dumps int, bytes int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue), w.queued()
}

func (w *Writer) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
	w.cond.Broadcast()
}

// queued is the bytes of what waits. w.mu is held, as in all that follows.
func (w *Writer) queued() int64 {
	var sum int64
	for _, j := range slices.Concat(w.urgent, w.queue) {
		sum += j.Dump.StoredBytes
	}
	return sum
}

// idle tells that no worker does anything, nor would.
func (w *Writer) idle() bool {
	if !w.probed || w.busy > 0 {
		return false
	}
	for _, k := range w.workers {
		if _, _, ok := w.pick(k); ok {
			return false
		}
	}
	return true
}

// next gives a worker its next job; none when it is to end.
func (w *Writer) next(k *worker) (Job, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		list, at, ok := w.pick(k)
		if ok {
			j := (*list)[at]
			*list = slices.Delete(*list, at, at+1)
			w.busy++
			k.busy, k.leftBytes = true, j.Dump.StoredBytes
			w.cond.Broadcast()
			return j, true
		}
		if w.closing && w.probed && w.busy == 0 {
			w.cond.Broadcast()
			return Job{}, false
		}
		w.cond.Wait()
	}
}

// pick finds the job that a worker takes now.
func (w *Writer) pick(k *worker) (list *[]Job, at int, ok bool) {
	switch {
	case !w.probed:
		return nil, 0, false
	case w.off != nil || w.exhausted():
		// What is left is given up, one by one, so that each is recorded.
		if len(w.urgent) > 0 {
			return &w.urgent, 0, true
		}
		return &w.queue, 0, len(w.queue) > 0
	case !k.started && w.volumesLeft() == 0:
		return nil, 0, false // another worker's volume is the run's last
	case len(w.urgent) > 0:
		return &w.urgent, 0, true
	}
	flow := w.flow()
	mayBegin := MayBegin(w.o.Storage, flow)
	if len(w.queue) == 0 || !k.started && !mayBegin {
		return nil, 0, false
	}
	waiting := make([]Waiting, len(w.queue))
	for i, j := range w.queue {
		waiting[i] = Waiting{Run: j.Dump.Stamp, Bytes: j.Dump.StoredBytes}
	}
	room := max(0, k.roomBytes) + int64(w.volumesLeft())*int64(w.o.Storage.VolumeSize)
	fitOnly := w.busy > 0
	if !mayBegin && thresholds(w.o.Storage, flow) {
		room, fitOnly = k.roomBytes, true // a dump that is begun is finished: it must not lead to another volume
	}
	at = Choose(w.o.Storage.TaperAlgorithm, waiting, room, fitOnly)
	return &w.queue, at, at >= 0
}

// exhausted tells that the run has filled all the volumes it may.
func (w *Writer) exhausted() bool {
	return w.volumesLeft() == 0 && !slices.ContainsFunc(w.workers, func(k *worker) bool { return k.started || k.busy })
}

// volumesLeft is how many volumes the run may still begin; one is set aside for a worker that is about to.
func (w *Writer) volumesLeft() int {
	left := w.o.Storage.RunVolumes - w.volumes
	for _, k := range w.workers {
		if k.busy && !k.started {
			left--
		}
	}
	return max(0, left)
}

func (w *Writer) flow() Flow {
	f := Flow{
		Queued: w.queued(), Coming: w.comingBytes, Dumping: w.dumping,
		Urgent: len(w.urgent) > 0 || w.o.Urgent != nil && w.o.Urgent(),
	}
	for _, k := range w.workers {
		switch {
		case k.started:
			f.Room += max(0, k.roomBytes-k.leftBytes)
		case k.busy:
			f.Room += max(0, int64(w.o.Storage.VolumeSize)-k.leftBytes)
		}
	}
	return f
}

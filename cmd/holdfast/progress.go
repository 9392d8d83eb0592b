package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"holdfast/catalog/sqlstore"
	"holdfast/reports"
)

// How often progress is told: a line on a terminal is drawn over, elsewhere lines add up.
const (
	redrawEvery = 200 * time.Millisecond
	lineEvery   = time.Minute
	lookEvery   = 500 * time.Millisecond // at the catalog, by watch
)

const mib = 1 << 20

// bar shows how far long work is. Its methods may be called from several goroutines.
type bar struct {
	w     io.Writer
	what  string
	width func() int // of the terminal; 0 where there is none

	mu    sync.Mutex // guards the fields below
	begun time.Time
	last  time.Time
	drawn bool
}

func (a *app) progressBar(what string) *bar {
	now := time.Now()
	return &bar{w: a.stderr, what: what, width: func() int { return terminalWidth(a.stderr) }, begun: now, last: now}
}

// terminalWidth is 0 for what is no terminal.
func terminalWidth(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 20 {
		return 80 // a terminal that does not know, or lies
	}
	return width
}

// update shows bytes done of bytes in all.
func (b *bar) update(done, total int64) {
	text := fmt.Sprintf("%d of %d MiB", done/mib, total/mib)
	if seconds := time.Since(b.begun).Seconds(); seconds > 0 && total > 0 {
		text += fmt.Sprintf(", %d %%, %.0f MiB/s", 100*done/total, float64(done)/mib/seconds)
	}
	b.show(text)
}

// show shows a text, unless the last one was shown only just now.
func (b *bar) show(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	width, every := b.width(), lineEvery
	if width > 0 {
		every = redrawEvery
	}
	now := time.Now()
	if now.Sub(b.last) < every {
		return
	}
	b.last = now
	line := b.what + ": " + text
	if width == 0 {
		fmt.Fprintln(b.w, line)
		return
	}
	// A line that wraps could not be drawn over.
	if runes := []rune(line); len(runes) >= width {
		line = string(runes[:width-1])
	}
	fmt.Fprintf(b.w, "\r\x1b[K%s", line)
	b.drawn = true
}

// end clears the line.
func (b *bar) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.drawn {
		fmt.Fprint(b.w, "\r\x1b[K")
		b.drawn = false
	}
}

// watch shows on a terminal how the run of this process goes, until stop is called. It looks as `holdfast status` does,
// through a catalog of its own that cannot write, so that the run is none the worse for it. Elsewhere it shows nothing:
// the report tells.
func (a *app) watch(ctx context.Context, s *site) (stop func()) {
	if terminalWidth(a.stderr) == 0 {
		return func() {}
	}
	store, err := openStore(ctx, s.Config, false)
	if err != nil {
		return func() {} // the run goes on without being watched
	}
	ctx, cancel := context.WithCancel(ctx)
	bar := a.progressBar("run")
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if line := lookAt(ctx, store); line != "" {
					bar.show(line)
				}
			}
		}
	}()
	return func() {
		cancel()
		<-done
		bar.end()
		_ = store.Close() // only read from
	}
}

// lookAt tells how far the latest run is; nothing when it cannot be seen just now.
func lookAt(ctx context.Context, store *sqlstore.Store) string {
	runs, err := store.Runs(ctx, 1)
	if err != nil || len(runs) == 0 || !runs[0].Ended.IsZero() {
		return ""
	}
	events, err := store.Events(ctx, runs[0].Stamp, 0)
	if err != nil {
		return ""
	}
	return nightLine(reports.Status(runs[0], events, time.Now(), true))
}

// nightLine tells in one line how far a run is: "2 of 6 dumped, 1 written; web01:disk0 120 of 512 MiB".
func nightLine(s reports.StatusReport) string {
	if s.Planning {
		return "planning"
	}
	var dumped, written int
	var now []string
	for _, d := range s.Dumps {
		switch d.State {
		case reports.StateScanning, reports.StateDumping:
			now = append(now, fmt.Sprintf("%s %d of %d MiB", d.DLE, d.DoneBytes/mib, d.TotalBytes/mib))
		case reports.StateWaiting:
		default:
			dumped++
		}
		for _, c := range d.Copies {
			switch {
			case c.State == reports.CopyWritten:
				written++
			case c.State == reports.CopyWriting && !d.Direct:
				now = append(now, fmt.Sprintf("writing %s %d MiB", d.DLE, c.DoneBytes/mib))
			}
		}
	}
	line := fmt.Sprintf("%d of %d dumped, %d written", dumped, len(s.Dumps), written)
	if len(now) > 0 {
		line += "; " + strings.Join(now, ", ")
	}
	return line
}

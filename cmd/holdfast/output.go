package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"
)

func jsonFlag() cli.Flag { return &cli.BoolFlag{Name: "json", Usage: "answer in JSON, for programs"} }

func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// bar shows how far long work is: a line that is drawn over on a terminal, a plain line a minute elsewhere.
type bar struct {
	w        io.Writer
	what     string
	terminal bool

	mu    sync.Mutex // guards the fields below
	begun time.Time
	last  time.Time
	drawn bool
}

func (a *app) progressBar(what string) *bar {
	f, ok := a.stderr.(*os.File)
	now := time.Now()
	return &bar{w: a.stderr, what: what, terminal: ok && term.IsTerminal(int(f.Fd())), begun: now, last: now}
}

// update may be called from several goroutines.
func (b *bar) update(done, total int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	every := time.Minute
	if b.terminal {
		every = 200 * time.Millisecond
	}
	now := time.Now()
	if now.Sub(b.last) < every {
		return
	}
	b.last = now
	const mib = 1 << 20
	line := fmt.Sprintf("%s: %d of %d MiB", b.what, done/mib, total/mib)
	if seconds := now.Sub(b.begun).Seconds(); seconds > 0 && total > 0 {
		line += fmt.Sprintf(", %d %%, %.0f MiB/s", 100*done/total, float64(done)/mib/seconds)
	}
	if b.terminal {
		fmt.Fprintf(b.w, "\r\x1b[K%s", line)
		b.drawn = true
	} else {
		fmt.Fprintln(b.w, line)
	}
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

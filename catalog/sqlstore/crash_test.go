package sqlstore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"holdfast/catalog"
	"holdfast/catalog/sqlstore"
)

// writerEnv makes the test binary a process that records dumps in the catalog named until it is killed.
const writerEnv = "HOLDFAST_TEST_WRITER"

func TestMain(m *testing.M) {
	if path := os.Getenv(writerEnv); path != "" {
		fmt.Fprintln(os.Stderr, writeForEver(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeForEver records held dumps of one DLE of its own, and says each id when it is recorded.
func writeForEver(path string) error {
	ctx := context.Background()
	s, err := sqlstore.Open(ctx, path, sqlstore.Options{})
	if err != nil {
		return err
	}
	me := catalog.DLE{VM: fmt.Sprint("process-", os.Getpid()), Disk: "disk0"}
	for i := 0; ; i++ {
		d := dump(me, catalog.Stamp(fmt.Sprintf("20261120%06d", i)), 0, "")
		if err := s.RecordHeld(ctx, d, holding(d)); err != nil {
			return err
		}
		fmt.Println(d.ID)
	}
}

// Three processes write at once and are killed, over and over: what they had been told is recorded is there, nothing is
// there by half, and a reader sees only whole transactions meanwhile.
func TestKilledWriters(t *testing.T) {
	s := create(t, sqlstore.Options{})
	for range 3 {
		var wg sync.WaitGroup
		told := make([][]catalog.DumpID, 3)
		for i := range told {
			wg.Go(func() { told[i] = writeAndKill(t, s.Path()) })
		}
		stop := make(chan struct{})
		read := make(chan error)
		go func() { read <- readUntil(t.Context(), s, stop) }()
		wg.Wait()
		close(stop)
		if err := <-read; err != nil {
			t.Errorf("reader: %v", err)
		}
		for _, ids := range told {
			for _, id := range ids {
				if _, err := s.Dump(t.Context(), id); err != nil {
					t.Error(err)
				}
			}
		}
		if err := wholeHeld(t.Context(), s); err != nil {
			t.Error(err)
		}
		dumps, err := s.Dumps(t.Context(), sqlstore.DumpFilter{})
		ok(t, err)
		if held, err := s.Held(t.Context()); err != nil || len(held) != len(dumps) {
			t.Errorf("%d dumps, %d of them held, %v", len(dumps), len(held), err)
		}
		ok(t, s.Check(t.Context()))
	}
}

// writeAndKill starts a writer, kills it after its twentieth record, and gives the ids that it said are recorded.
func writeAndKill(t *testing.T, path string) []catalog.DumpID {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), writerEnv+"="+path)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Error(err)
		return nil
	}
	var told []catalog.DumpID
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			break
		}
		if told = append(told, catalog.DumpID(strings.TrimSpace(line))); len(told) == 20 {
			cmd.Process.Kill()
		}
	}
	cmd.Wait()
	if len(told) < 20 {
		t.Errorf("writer ended by itself after %d records: %s", len(told), stderr.String())
	}
	return told
}

func readUntil(ctx context.Context, s *sqlstore.Store, stop <-chan struct{}) error {
	for {
		select {
		case <-stop:
			return nil
		default:
			if err := wholeHeld(ctx, s); err != nil {
				return err
			}
		}
	}
}

// wholeHeld looks whether each held dump has both its files.
func wholeHeld(ctx context.Context, s *sqlstore.Store) error {
	held, err := s.Held(ctx)
	for _, h := range held {
		if len(h.Chunks) != 2 {
			err = errors.Join(err, fmt.Errorf("dump %s: torn: %d files of 2", h.Dump, len(h.Chunks)))
		}
	}
	return err
}

// Goroutines of one process that write through one store, and processes that share the file, wait for each other instead of
// failing with "locked".
func TestConcurrentWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c")
	ok(t, mustOpen(t, path).Close())
	run := catalog.Stamp("20261120220000")
	stores := []*sqlstore.Store{open(t, path, sqlstore.Options{}), open(t, path, sqlstore.Options{})}
	ok(t, stores[0].StartRun(t.Context(), catalog.Run{Stamp: run, Started: night}))
	const writers, each = 4, 25
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for range each {
				if err := stores[i%2].AddEvents(t.Context(), run, night, catalog.Note{Text: "a"}, catalog.Note{Text: "b"}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	events, err := stores[0].Events(t.Context(), run, 0)
	ok(t, err)
	if len(events) != 2*writers*each || events[len(events)-1].Seq != int64(len(events)) {
		t.Errorf("%d events, want %d numbered on", len(events), 2*writers*each)
	}
}

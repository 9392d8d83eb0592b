// Package qgatest holds a guest agent for tests, in this process and on a Unix socket, without a guest: it answers, complains
// and disables commands as the real one was seen to do, and its hooks and its death are a test's to command.
//
// Its one invariant: like the port of a real agent it serves one client at a time, and what it still has to say is said
// to the next one.
package qgatest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// Agent is an agent. Its fields are set before it is asked anything.
type Agent struct {
	// Socket is where it listens.
	Socket string
	// FileSystems is how many there are to freeze.
	FileSystems int
	// Mountpoints are what guest-fsfreeze-freeze-list knows; each is one file system.
	Mountpoints []string
	// Hook is called by each freeze before it freezes anything, and may take its time; an error lets the freeze fail.
	Hook func() error
	// ThawHook is called by each thaw, also by one that has nothing to thaw. An error is the answer to the thaw.
	ThawHook func() error

	mu      sync.Mutex
	changed *sync.Cond
	out     []byte // what no client has been told yet
	todo    [][]byte
	dead    bool
	ended   bool
	frozen  int
	calls   []string
}

// Start runs an agent until the test ends.
func Start(t testing.TB, a *Agent) *Agent {
	t.Helper()
	a.Socket = filepath.Join(t.TempDir(), "agent")
	a.changed = sync.NewCond(&a.mu)
	listener, err := net.Listen("unix", a.Socket)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { a.serve(listener) })
	wg.Go(a.work)
	t.Cleanup(func() {
		a.set(func() { a.ended = true })
		_ = listener.Close() // ends serve
		wg.Wait()
	})
	return a
}

// Kill has the agent answer nothing, and forget what it was asked. What is frozen stays so.
func (a *Agent) Kill() { a.set(func() { a.dead, a.todo = true, nil }) }

// Restart brings a killed agent back; it remembers that it froze.
func (a *Agent) Restart() { a.set(func() { a.dead = false }) }

// Frozen is how many file systems are frozen.
func (a *Agent) Frozen() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.frozen
}

// awaitMax bounds what a test waits for.
const awaitMax = time.Minute

// Await returns when so many file systems are frozen, and ends the test when that takes too long.
func (a *Agent) Await(t testing.TB, frozen int) {
	t.Helper()
	a.await(t, fmt.Sprintf("%d file systems frozen", frozen), func() bool { return a.frozen == frozen })
}

// await returns when something is so; it is asked with the mutex held.
func (a *Agent) await(t testing.TB, what string, reached func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), awaitMax)
	defer cancel()
	defer context.AfterFunc(ctx, func() { a.set(func() {}) })() // wakes us
	a.mu.Lock()
	defer a.mu.Unlock()
	for !reached() {
		if ctx.Err() != nil {
			t.Fatalf("after %v: not reached: %s; the agent was asked %v", awaitMax, what, a.calls)
		}
		a.changed.Wait()
	}
}

// ThawAll thaws behind everybody's back, as another client or a timer in the guest may.
func (a *Agent) ThawAll() { a.set(func() { a.frozen = 0 }) }

// Calls lists the commands carried out so far, without those for synchronisation.
func (a *Agent) Calls() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.calls)
}

// AwaitCall returns when a command was carried out, or is, and ends the test when that takes too long.
func (a *Agent) AwaitCall(t testing.TB, name string) {
	t.Helper()
	a.await(t, name, func() bool { return slices.Contains(a.calls, name) })
}

func (a *Agent) set(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
	a.changed.Broadcast()
}

// serve takes one client after the other.
func (a *Agent) serve(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		gone := false
		var wg sync.WaitGroup
		wg.Go(func() { a.speak(conn, &gone) })
		wg.Go(func() { // ends a client that outlives the test
			a.mu.Lock()
			defer a.mu.Unlock()
			for !gone && !a.ended {
				a.changed.Wait()
			}
			_ = conn.Close() // once more than needed
		})
		a.listen(conn)
		a.set(func() { gone = true })
		wg.Wait()
	}
}

// listen takes a client's lines until it goes.
func (a *Agent) listen(conn net.Conn) {
	for in := bufio.NewReader(conn); ; {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		a.set(func() {
			if !a.dead {
				a.todo = append(a.todo, line)
			}
		})
	}
}

// speak tells a client what there is to say until it goes.
func (a *Agent) speak(conn io.Writer, gone *bool) {
	for {
		a.mu.Lock()
		for len(a.out) == 0 && !*gone && !a.ended {
			a.changed.Wait()
		}
		if *gone || a.ended {
			a.mu.Unlock()
			return
		}
		said := a.out
		a.out = nil
		a.mu.Unlock()
		if _, err := conn.Write(said); err != nil {
			return // lost, as on a real port
		}
	}
}

// work does one command after the other.
func (a *Agent) work() {
	for {
		a.mu.Lock()
		for len(a.todo) == 0 && !a.ended {
			a.changed.Wait()
		}
		if a.ended {
			a.mu.Unlock()
			return
		}
		line := a.todo[0]
		a.todo = a.todo[1:]
		a.mu.Unlock()
		answer := a.do(line)
		a.set(func() {
			if !a.dead {
				a.out = append(a.out, answer...)
			}
		})
	}
}

const parseError = `{"error": {"class": "GenericError", "desc": "JSON parse error, invalid token"}}` + "\n"

// do carries out what one line asks for. The byte that resets the parser is an error of its own to it.
func (a *Agent) do(line []byte) []byte {
	var answer []byte
	if i := bytes.LastIndexByte(line, 0xFF); i >= 0 {
		answer, line = append(answer, parseError...), line[i+1:]
	}
	var request struct {
		Execute   string
		Arguments struct {
			ID          uint64
			Mountpoints []string
		}
	}
	if err := json.Unmarshal(line, &request); err != nil {
		return append(answer, parseError...)
	}
	if request.Execute == "guest-sync-delimited" {
		return fmt.Appendf(append(answer, 0xFF), "{\"return\": %d}\n", request.Arguments.ID)
	}
	a.set(func() { a.calls = append(a.calls, request.Execute) })
	result, err := a.command(request.Execute, request.Arguments.Mountpoints)
	if err != nil {
		return fmt.Appendf(answer, "{\"error\": {\"class\": \"GenericError\", \"desc\": %q}}\n", err)
	}
	return fmt.Appendf(answer, "{\"return\": %s}\n", result)
}

func (a *Agent) command(name string, mountpoints []string) (string, error) {
	frozen := a.Frozen() > 0
	switch name {
	case "guest-ping":
		return "{}", nil
	case "guest-fsfreeze-status":
		if frozen {
			return `"frozen"`, nil
		}
		return `"thawed"`, nil
	case "guest-fsfreeze-thaw":
		return a.thaw()
	case "guest-info":
		return `{"version": "7.2.22", "supported_commands": [{"name": "guest-ping", "enabled": true, "success-response": true}]}`, nil
	}
	if frozen {
		return "", fmt.Errorf("Command %s has been disabled: the agent is in frozen state", name)
	}
	switch name {
	case "guest-fsfreeze-freeze":
		return a.freeze(a.FileSystems)
	case "guest-fsfreeze-freeze-list":
		known := 0
		for _, m := range mountpoints {
			if slices.Contains(a.Mountpoints, m) {
				known++
			}
		}
		return a.freeze(known)
	case "guest-get-fsinfo":
		return `[{"name": "vda", "total-bytes": 262144000, "mountpoint": "/", "disk": [{"serial": "s", "bus-type": "virtio", "dev": "/dev/vda"}], "used-bytes": 4096, "type": "ext4"}]`, nil
	}
	return "", fmt.Errorf("The command %s has not been found", name)
}

func (a *Agent) freeze(fileSystems int) (string, error) {
	if a.Hook != nil {
		if err := a.Hook(); err != nil {
			return "", err
		}
	}
	a.set(func() { a.frozen = fileSystems })
	return fmt.Sprint(fileSystems), nil
}

func (a *Agent) thaw() (string, error) {
	thawed := a.Frozen()
	a.set(func() { a.frozen = 0 })
	if a.ThawHook != nil {
		if err := a.ThawHook(); err != nil {
			return "", err
		}
	}
	return fmt.Sprint(thawed), nil
}

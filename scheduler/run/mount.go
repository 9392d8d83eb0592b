package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"holdfast/configs"
	"holdfast/vtape"
)

const (
	// mountLimit is how long a mount or unmount command may take: a disk that spins up, a file system that replays its log.
	mountLimit = 2 * time.Minute
	// maxOutput is how much of a command's output goes into an error, in bytes.
	maxOutput = 2000
)

// Caller runs a command, given as words, without a shell, and gives what it wrote to its standard output and error. It ends
// the command when ctx ends.
type Caller func(ctx context.Context, words []string) (output []byte, err error)

// Mounts calls the mount commands of storages whose libraries are away, and at the end the unmount commands of those that
// were used. One is for one command of the administrator: a mount command that failed is not tried again. It may be used by
// many goroutines; a storage whose command hangs keeps only itself waiting.
type Mounts struct {
	call Caller

	mu   sync.Mutex // guards used
	used map[string]*mount
}

// mount is one storage's.
type mount struct {
	storage configs.Storage

	mu     sync.Mutex // guards what follows, and is held while a command runs
	opened bool
	failed error
}

// NewMounts gives one that runs commands by call.
func NewMounts(call Caller) *Mounts { return &Mounts{call: call, used: map[string]*mount{}} }

func (m *Mounts) of(st configs.Storage) *mount {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.used[st.Name] == nil {
		m.used[st.Name] = &mount{storage: st}
	}
	return m.used[st.Name]
}

// reach makes sure that the shelf is there, by the storage's mount command if it is not. A nil Mounts only looks.
func (m *Mounts) reach(ctx context.Context, st configs.Storage, shelf vtape.Shelf) error {
	if m == nil || len(st.Mount)+len(st.Unmount) == 0 {
		return shelf.Check(ctx)
	}
	one := m.of(st)
	one.mu.Lock()
	defer one.mu.Unlock()
	err := shelf.Check(ctx)
	if errors.Is(err, vtape.ErrAbsent) && len(st.Mount) > 0 {
		if one.failed == nil {
			one.failed = m.run(ctx, st, st.Mount)
		}
		if one.failed != nil {
			return fmt.Errorf("%w; %w", err, one.failed)
		}
		err = shelf.Check(ctx)
	}
	one.opened = one.opened || err == nil
	return err
}

// Release calls the unmount commands of the storages that were used. Nothing of them may be open any more. The errors are
// joined.
func (m *Mounts) Release(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var errs error
	for _, one := range m.used {
		one.mu.Lock()
		if one.opened && len(one.storage.Unmount) > 0 {
			errs = errors.Join(errs, m.run(ctx, one.storage, one.storage.Unmount))
		}
		one.opened, one.failed = false, nil
		one.mu.Unlock()
	}
	return errs
}

func (m *Mounts) run(ctx context.Context, st configs.Storage, words []string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, mountLimit, fmt.Errorf("it took more than %s", mountLimit))
	defer cancel()
	output, err := m.call(ctx, words)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	output = bytes.TrimSpace(output)
	if output = output[max(len(output)-maxOutput, 0):]; len(output) > 0 {
		err = fmt.Errorf("%w: %s", err, strings.ToValidUTF8(string(output), "?"))
	}
	return fmt.Errorf("storage %s: %s: %w", st.Name, strings.Join(words, " "), err)
}

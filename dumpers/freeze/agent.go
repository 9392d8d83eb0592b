package freeze

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"holdfast/internal/qga"
)

// ErrGone: the VM does not run any more, so nothing in it is frozen.
var ErrGone = errors.New("the VM does not run")

// KindQGA is an agent whose port holdfast opens itself.
const KindQGA = "qga"

// Guest says how the agent of a guest is reached. It stands in journals, and holds no secrets.
type Guest struct {
	// Kind decides which of the other fields matter: KindQGA, or what others add.
	Kind string `json:"kind"`
	// Socket of the agent's port (KindQGA).
	Socket string `json:"socket,omitempty"`
	// URI of a hypervisor, and the name or UUID of the VM there.
	URI    string `json:"uri,omitempty"`
	Domain string `json:"domain,omitempty"`
}

// Agent is a guest's agent as this package needs it. One goroutine uses it. Any error but ErrGone leaves open what the
// command did.
type Agent interface {
	// Freeze freezes all file systems or those at the mount points, and tells how many: 0 if nothing is frozen.
	Freeze(ctx context.Context, mountpoints []string) (int, error)
	// Thaw thaws what is frozen, and tells how many: 0 if nothing was. It may be repeated.
	Thaw(ctx context.Context) (int, error)
	// Frozen tells whether anything is frozen. An answer means that all commands before are over, also those that were given
	// up: no freeze comes after it.
	Frozen(ctx context.Context) (bool, error)
	Close() error
}

// Opener makes the agent of a guest. It may connect only later.
type Opener func(ctx context.Context, g Guest) (Agent, error)

// Openers are by the kind of guest.
type Openers map[string]Opener

// Open makes the agent of a guest.
func (o Openers) Open(ctx context.Context, g Guest) (Agent, error) {
	open := o[g.Kind]
	if open == nil {
		return nil, fmt.Errorf("guest agent: unknown kind %q", g.Kind)
	}
	return open(ctx, g)
}

// OpenQGA is the Opener of KindQGA.
func OpenQGA(_ context.Context, g Guest) (Agent, error) {
	if g.Socket == "" {
		return nil, errors.New("guest agent: no socket is named")
	}
	return direct{qga.New(g.Socket)}, nil
}

// direct is an agent by its port.
type direct struct{ client *qga.Client }

func (d direct) Freeze(ctx context.Context, mountpoints []string) (int, error) {
	n, err := d.client.Freeze(ctx, mountpoints...)
	return n, gone(err)
}

func (d direct) Thaw(ctx context.Context) (int, error) {
	n, err := d.client.Thaw(ctx)
	return n, gone(err)
}

func (d direct) Frozen(ctx context.Context) (bool, error) {
	s, err := d.client.Status(ctx)
	return s == qga.Frozen, gone(err)
}

func (d direct) Close() error { return d.client.Close() }

// gone adds ErrGone where nobody listens: QEMU does for as long as it lives, and takes its socket along.
func gone(err error) error {
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	return err
}

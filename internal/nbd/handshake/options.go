package handshake

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"holdfast/internal/vfs"
)

// Options say how to connect. The zero value does without TLS and meta contexts.
type Options struct {
	// TLS: not nil, it is required, and a server that does not do it is refused (ErrTLSRefused). Nil, it is not used,
	// except for addresses that say nbds: those take the system's authorities, or the certificates that they name.
	TLS *tls.Config
	// Files is where certificates named in an address are read from.
	Files vfs.FS
	// Contexts are the meta contexts to select, all of them required (ErrNoContext). None for reading without a map.
	Contexts []string
	// Timeout is the time in which a server has to have negotiated; 0 stands for 30 s.
	Timeout time.Duration
	// Dial makes a connection; nil for the net package's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// timeout where none is given.
const timeout = 30 * time.Second

// prepare reads the address and fills in what was left open.
func (o Options) prepare(uri string) (Address, Options, error) {
	addr, err := ParseAddress(uri)
	if err != nil {
		return Address{}, o, err
	}
	if o.Timeout <= 0 {
		o.Timeout = timeout
	}
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	addr.TLS = addr.TLS || o.TLS != nil
	if addr.TLS && o.TLS == nil {
		o.TLS, err = o.certificates(addr)
	}
	return addr, o, err
}

package handshake

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// Connect negotiates a connection to an export, by its address's text form (see Address). What comes next on it are
// requests and replies.
func Connect(ctx context.Context, uri string, o Options) (net.Conn, Info, error) {
	addr, o, err := o.prepare(uri)
	if err != nil {
		return nil, Info{}, err
	}
	var info Info
	h, err := connect(ctx, addr, o, func(h *handshake) (err error) {
		info, err = h.transmit(o.Contexts)
		return err
	})
	if err != nil {
		return nil, Info{}, err
	}
	return h.nc, info, nil
}

// handshake is a connection in its negotiation. It reads no byte more than the option at hand needs: what a meddler
// puts before the TLS handshake is then read by it, and refused there.
type handshake struct {
	nc         net.Conn
	addr       Address
	tls        bool
	structured bool
	buf        [replyMax]byte
}

// connect dials and negotiates as far as TLS and structured replies, then does the rest by calling negotiate. The
// connection is closed when it fails, or when ctx or the time for a handshake ends.
func connect(ctx context.Context, addr Address, o Options, negotiate func(*handshake) error) (*handshake, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, o.Timeout, fmt.Errorf("%w: no answer within %s", ErrLost, o.Timeout))
	defer cancel()
	nc, err := o.Dial(ctx, addr.Network, addr.Host)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	h := &handshake{nc: nc, addr: addr}
	unguard := context.AfterFunc(ctx, func() { nc.SetDeadline(past()) })
	err = h.begin(ctx, o)
	if err == nil {
		err = negotiate(h)
	}
	if !unguard() {
		err = context.Cause(ctx)
	}
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("negotiate: %w", err)
	}
	return h, nil
}

// past is a deadline that ends what waits.
func past() time.Time { return time.Unix(1, 0) }

func (h *handshake) begin(ctx context.Context, o Options) error {
	if err := h.hello(); err != nil {
		return err
	}
	if h.addr.TLS {
		if err := h.startTLS(ctx, o.TLS); err != nil {
			return err
		}
	}
	err := h.option(optStructuredReply, nil, nil)
	h.structured = err == nil
	if errors.Is(err, ErrUnsupported) {
		return nil // then replies are simple ones
	}
	return err
}

func (h *handshake) hello() error {
	p := h.buf[:18]
	if err := h.read(p[:16]); err != nil {
		return err
	}
	if binary.BigEndian.Uint64(p) != magicServer {
		return protocolError("it does not begin as an nbd server")
	}
	switch magic := binary.BigEndian.Uint64(p[8:]); magic {
	case magicOption:
	case magicOldstyle:
		return fmt.Errorf("the server speaks the old style: %w", ErrUnsupported)
	default:
		return protocolError("magic %#x", magic)
	}
	if err := h.read(p[16:]); err != nil {
		return err
	}
	flags := binary.BigEndian.Uint16(p[16:])
	if flags&handshakeFixed == 0 {
		return fmt.Errorf("the server does not speak the fixed newstyle: %w", ErrUnsupported)
	}
	return h.write(binary.BigEndian.AppendUint32(nil, uint32(flags&(handshakeFixed|handshakeNoZeroes))))
}

// startTLS has no way back: a server that refuses ends the negotiation.
func (h *handshake) startTLS(ctx context.Context, config *tls.Config) error {
	if err := h.option(optStartTLS, nil, nil); err != nil {
		if isRefusal(err) {
			return fmt.Errorf("%w: %w", ErrTLSRefused, err)
		}
		return err
	}
	c := config.Clone()
	if h.addr.TLSName != "" {
		c.ServerName = h.addr.TLSName
	} else if host, _, err := net.SplitHostPort(h.addr.Host); c.ServerName == "" && h.addr.Network == "tcp" && err == nil {
		c.ServerName = host
	}
	secured := tls.Client(h.nc, c)
	if err := secured.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("tls: %w", err)
	}
	h.nc, h.tls = secured, true
	return nil
}

// optionError is the refusal of an option. It unwraps to the sentinel of its type.
type optionError struct {
	kind uint32
	text string
}

func (e *optionError) Error() string {
	what := fmt.Sprintf("option refused (%#x)", e.kind)
	if cause := e.Unwrap(); cause != nil {
		what = cause.Error()
	}
	if e.text == "" {
		return what
	}
	return what + ": server says: " + e.text
}

func (e *optionError) Unwrap() error {
	switch e.kind {
	case repUnsupported, repPolicy, repPlatform, repSizeRequired:
		return ErrUnsupported
	case repTLSRequired:
		return ErrTLSRequired
	case repUnknown:
		return ErrNoExport
	case repShutdown:
		return ErrLost
	}
	return nil
}

func isRefusal(err error) bool {
	var refusal *optionError
	return errors.As(err, &refusal)
}

// option asks for an option, and calls each for the replies before the last. Their data are valid during the call.
func (h *handshake) option(opt uint32, data []byte, each func(kind uint32, data []byte) error) error {
	req := binary.BigEndian.AppendUint64(nil, magicOption)
	req = binary.BigEndian.AppendUint32(req, opt)
	req = binary.BigEndian.AppendUint32(req, uint32(len(data)))
	if err := h.write(append(req, data...)); err != nil {
		return err
	}
	for range repliesMax {
		kind, data, err := h.reply(opt)
		switch {
		case err != nil:
			return err
		case kind&repError != 0:
			return &optionError{kind: kind, text: Printable(data)}
		case kind == repAck:
			return nil
		case each == nil:
			return protocolError("reply %d to option %d", kind, opt)
		}
		if err := each(kind, data); err != nil {
			return err
		}
	}
	return protocolError("over %d replies to option %d", repliesMax, opt)
}

func (h *handshake) reply(opt uint32) (kind uint32, data []byte, err error) {
	p := h.buf[:20]
	if err := h.read(p); err != nil {
		return 0, nil, err
	}
	if magic, to := binary.BigEndian.Uint64(p), binary.BigEndian.Uint32(p[8:]); magic != magicReply || to != opt {
		return 0, nil, protocolError("reply with magic %#x to option %d, asked for %d", magic, to, opt)
	}
	kind = binary.BigEndian.Uint32(p[12:])
	n := binary.BigEndian.Uint32(p[16:])
	if n > replyMax {
		return 0, nil, protocolError("reply of %d bytes to option %d", n, opt)
	}
	data = h.buf[:n]
	return kind, data, h.read(data)
}

func (h *handshake) read(p []byte) error {
	if _, err := io.ReadFull(h.nc, p); err != nil {
		return Lost(err)
	}
	return nil
}

func (h *handshake) write(p []byte) error {
	if _, err := h.nc.Write(p); err != nil {
		return Lost(err)
	}
	return nil
}

// abort tells the server that no transmission follows, and hangs up. A server need not answer.
func (h *handshake) abort() {
	req := binary.BigEndian.AppendUint64(nil, magicOption)
	req = binary.BigEndian.AppendUint32(req, optAbort)
	h.write(binary.BigEndian.AppendUint32(req, 0))
	h.nc.Close()
}

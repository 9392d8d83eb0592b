package handshake_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/internal/nbd/handshake"
)

// script is a connection to a server that says what was written down before, and hangs up.
type script struct {
	io.Reader
	said bytes.Buffer // by us
}

func (s *script) Write(p []byte) (int, error)      { return s.said.Write(p) }
func (s *script) Close() error                     { return nil }
func (s *script) LocalAddr() net.Addr              { return nil }
func (s *script) RemoteAddr() net.Addr             { return nil }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// playing are the options that connect to a script.
func playing(says []byte, contexts ...string) (handshake.Options, *script) {
	s := &script{Reader: bytes.NewReader(says)}
	return handshake.Options{Contexts: contexts, Dial: func(context.Context, string, string) (net.Conn, error) { return s, nil }}, s
}

// be appends numbers, each big-endian in its own width, and bytes.
func be(parts ...any) (p []byte) {
	for _, part := range parts {
		switch v := part.(type) {
		case int:
			p = binary.BigEndian.AppendUint32(p, uint32(v))
		case string:
			p = append(p, v...)
		case []byte:
			p = append(p, v...)
		default:
			p, _ = binary.Append(p, binary.BigEndian, v)
		}
	}
	return p
}

// reply answers an option.
func reply(option, kind int, data ...any) []byte {
	d := be(data...)
	return be(uint64(0x3e889045565a9), option, kind, len(d), d)
}

const (
	ack, refused = 1, 1 << 31
	unsupported  = refused | 1
)

var (
	greeting   = be("NBDMAGICIHAVEOPT", uint16(3))
	structured = reply(8, ack)
	disk       = reply(7, 3, uint16(0), uint64(1<<20), uint16(0x58f))
	blocks     = reply(7, 3, uint16(3), 1, 4096, 32<<20)
	goes       = reply(7, ack)
	contextA   = reply(10, 4, 5, "a")
	contexts   = reply(10, ack)
)

// TestConnect plays negotiations: good ones, refusals, and what no server may send.
func TestConnect(t *testing.T) {
	export := func(size uint64, flags uint16) []byte { return reply(7, 3, uint16(0), size, flags) }
	sizes := func(least, preferred, most int) []byte { return reply(7, 3, uint16(3), least, preferred, most) }
	begin := be(greeting, structured)
	for _, tt := range []struct {
		name string
		says []byte
		want error // nil: it is opened
	}{
		{"plain", be(begin, contextA, contexts, disk, blocks, goes), nil},
		{"no-block-sizes", be(begin, contextA, contexts, disk, goes), nil},
		{"unknown-item", be(begin, contextA, contexts, disk, reply(7, 3, uint16(99), "news"), goes), nil},

		{"no-structured", be(greeting, reply(8, unsupported)), handshake.ErrNoContext},
		{"no-contexts", be(begin, reply(10, unsupported)), handshake.ErrNoContext},
		{"no-such-context", be(begin, contexts), handshake.ErrNoContext},
		{"no-export", be(begin, contextA, contexts, reply(7, refused|6, "none of that name")), handshake.ErrNoExport},
		{"no-go", be(begin, contextA, contexts, reply(7, unsupported)), handshake.ErrUnsupported},
		{"tls-wanted", be(greeting, reply(8, refused|5)), handshake.ErrTLSRequired},
		{"shuts-down", be(begin, contextA, contexts, reply(7, refused|7)), handshake.ErrLost},
		{"old-style", be("NBDMAGIC", uint64(0x00420281861253), uint64(1<<20)), handshake.ErrUnsupported},
		{"not-fixed", be("NBDMAGICIHAVEOPT", uint16(0)), handshake.ErrUnsupported},
		{"hangs-up", greeting[:10], handshake.ErrLost},

		{"other-protocol", []byte("220 mail.example.org ESMTP"), handshake.ErrProtocol},
		{"other-magic", be("NBDMAGICIHAVEOPS", uint16(3)), handshake.ErrProtocol},
		{"reply-magic", be(greeting, uint64(1), 8, 1, 0), handshake.ErrProtocol},
		{"reply-to-other", be(greeting, reply(7, ack)), handshake.ErrProtocol},
		{"reply-long", be(greeting, uint64(0x3e889045565a9), 8, 1, -1), handshake.ErrProtocol},
		{"reply-unasked", be(greeting, reply(8, 3, uint16(0))), handshake.ErrProtocol},
		{"context-foreign", be(begin, reply(10, 4, 5, "b")), handshake.ErrProtocol},
		{"context-twice", be(begin, contextA, reply(10, 4, 6, "a")), handshake.ErrProtocol},
		{"context-short", be(begin, reply(10, 4, uint16(1))), handshake.ErrProtocol},
		{"context-long", be(begin, reply(10, 4, 5, strings.Repeat("a", 5000))), handshake.ErrProtocol},
		{"export-missing", be(begin, contextA, contexts, goes), handshake.ErrProtocol},
		{"export-short", be(begin, contextA, contexts, reply(7, 3, uint16(0), uint64(1))), handshake.ErrProtocol},
		{"export-huge", be(begin, contextA, contexts, export(1<<63, 1)), handshake.ErrProtocol},
		{"export-without-flags", be(begin, contextA, contexts, export(1<<20, 0)), handshake.ErrProtocol},
		{"info-empty", be(begin, contextA, contexts, reply(7, 3)), handshake.ErrProtocol},
		{"blocks-zero", be(begin, contextA, contexts, sizes(0, 4096, 1<<20)), handshake.ErrProtocol},
		{"blocks-odd", be(begin, contextA, contexts, sizes(513, 4096, 1<<20)), handshake.ErrProtocol},
		{"blocks-large", be(begin, contextA, contexts, sizes(1<<20, 1<<20, 1<<20)), handshake.ErrProtocol},
		{"blocks-crossed", be(begin, contextA, contexts, sizes(4096, 512, 1<<20)), handshake.ErrProtocol},
		{"blocks-none-fits", be(begin, contextA, contexts, sizes(4096, 4096, 512)), handshake.ErrProtocol},
		{"blocks-short", be(begin, contextA, contexts, reply(7, 3, uint16(3), 1, 4096)), handshake.ErrProtocol},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, _ := playing(tt.says, "a")
			_, info, err := handshake.Connect(t.Context(), "nbd://script/x", o)
			if !errors.Is(err, tt.want) {
				t.Fatalf("%v, not %v", err, tt.want)
			}
			if err == nil && (info.SizeBytes != 1<<20 || !info.ReadOnly || info.ContextIDs[0] != 5 || info.BlockMax != 32<<20) {
				t.Errorf("%+v", info)
			}
		})
	}
}

// TestEndless: a server that never comes to an end is refused, whatever it is asked.
func TestEndless(t *testing.T) {
	entry := reply(3, 2, 1, "x")
	o, _ := playing(be(greeting, structured, bytes.Repeat(entry, 20_000)))
	if _, err := handshake.List(t.Context(), "nbd://script", o); !errors.Is(err, handshake.ErrProtocol) {
		t.Errorf("list: %v", err)
	}
	item := reply(6, 3, uint16(99))
	o, _ = playing(be(greeting, structured, bytes.Repeat(item, 20_000)))
	if _, err := handshake.Inspect(t.Context(), "nbd://script", o); !errors.Is(err, handshake.ErrProtocol) {
		t.Errorf("inspect: %v", err)
	}
}

// TestList reads entries, and takes leave.
func TestList(t *testing.T) {
	o, s := playing(be(greeting, structured, reply(3, 2, 3, "one", "the first"), reply(3, 2, 0), reply(3, ack)))
	got, err := handshake.List(t.Context(), "nbd://script", o)
	if want := []handshake.Export{{Name: "one", Description: "the first"}, {}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	if want := be("IHAVEOPT", 2, 0); !bytes.HasSuffix(s.said.Bytes(), want) {
		t.Errorf("its last words were % x", s.said.Bytes())
	}
	for _, wrong := range [][]byte{reply(3, 2, uint16(1)), reply(3, 2, 9, "one"), reply(3, 2, -1, "one"), reply(3, 3, 1, "x")} {
		o, _ := playing(be(greeting, structured, wrong))
		if got, err := handshake.List(t.Context(), "nbd://script", o); !errors.Is(err, handshake.ErrProtocol) {
			t.Errorf("% x: %+v, %v", wrong, got, err)
		}
	}
	o, _ = playing(be(greeting, structured, reply(3, refused|2, "not for you\n")))
	_, err = handshake.List(t.Context(), "nbd://script", o)
	if !errors.Is(err, handshake.ErrUnsupported) || !strings.HasSuffix(err.Error(), "server says: not for you?") {
		t.Errorf("%v", err)
	}
}

// TestInjection: what a meddler puts between STARTTLS's answer and the TLS handshake is not taken for the server's.
func TestInjection(t *testing.T) {
	o, s := playing(be(greeting, reply(5, ack), structured, disk, goes))
	if _, _, err := handshake.Connect(t.Context(), "nbds://script", o); err == nil {
		t.Error("opened without TLS")
	}
	if bytes.Contains(s.said.Bytes(), be("IHAVEOPT", 7)) {
		t.Error("GO was sent in the clear")
	}
}

// TestAddress reads addresses, and writes them again.
func TestAddress(t *testing.T) {
	for _, tt := range []struct {
		uri  string
		want handshake.Address
		text string // empty: as it was
	}{
		{"nbd://host/disk", handshake.Address{Network: "tcp", Host: "host:10809", Export: "disk"}, "nbd://host:10809/disk"},
		{"nbd://host:99/a%20b/c", handshake.Address{Network: "tcp", Host: "host:99", Export: "a b/c"}, ""},
		{"nbds://[::1]:99/", handshake.Address{Network: "tcp", Host: "[::1]:99", TLS: true}, ""},
		{"nbd://host", handshake.Address{Network: "tcp", Host: "host:10809"}, "nbd://host:10809/"},
		{"nbd+unix:///d?socket=/run/a%20b", handshake.Address{Network: "unix", Host: "/run/a b", Export: "d"}, "nbd+unix:///d?socket=/run/a+b"},
		{"nbds+unix:///?socket=s&tls-hostname=h&tls-certificates=/etc/pki",
			handshake.Address{Network: "unix", Host: "s", TLS: true, TLSName: "h", TLSCertificates: "/etc/pki"}, "nbds+unix:///?socket=s"},
	} {
		got, err := handshake.ParseAddress(tt.uri)
		if err != nil || got != tt.want {
			t.Errorf("%s: %+v, %v", tt.uri, got, err)
		}
		if tt.text == "" {
			tt.text = tt.uri
		}
		if got.String() != tt.text {
			t.Errorf("%s: written as %s", tt.uri, got)
		}
	}
	for _, uri := range []string{"", "host", "http://host/", "nbd:///x", "nbd+unix:///x", "nbd+unix://host/x?socket=s", "nbd://host/?socket=s",
		"nbd+vsock://1/x", "nbd+ssh://host/x", "nbds://me@host/?tls-psk-file=f", "nbd://host/" + strings.Repeat("x", 5000), "nbd://host/%zz"} {
		if got, err := handshake.ParseAddress(uri); err == nil {
			t.Errorf("%.40s: %+v", uri, got)
		}
	}
}

// FuzzConnect: whatever a server says, what is opened has sizes that the client can reckon with.
func FuzzConnect(f *testing.F) {
	f.Add(be(greeting, structured, contextA, contexts, disk, blocks, goes))
	f.Add(be(greeting, structured, contextA, contexts, disk, reply(7, 3, uint16(1), "name"), goes))
	f.Add(be(greeting, reply(8, unsupported, "never heard of it")))
	f.Add(be(greeting, structured, reply(10, refused|6)))
	f.Fuzz(func(t *testing.T, says []byte) {
		o, _ := playing(says, "a")
		_, i, err := handshake.Connect(t.Context(), "nbd://script/x", o)
		if err != nil {
			return
		}
		if i.SizeBytes < 0 || i.BlockMin <= 0 || i.BlockMin&(i.BlockMin-1) != 0 || i.BlockMax < i.BlockMin || i.BlockMax > 32<<20 ||
			i.BlockMax%i.BlockMin != 0 || len(i.ContextIDs) != 1 || i.SizeBytes > handshake.SizeMax {
			t.Errorf("%+v", i)
		}
	})
}

// FuzzAsk: whatever a server says to List and Inspect, they come to an end.
func FuzzAsk(f *testing.F) {
	f.Add(be(greeting, structured, reply(3, 2, 3, "one", "the first"), reply(3, ack)))
	f.Add(be(greeting, structured, reply(6, 3, uint16(0), uint64(1<<20), uint16(1)), reply(6, ack), reply(9, 4, 0, "base:allocation"), reply(9, ack)))
	f.Fuzz(func(t *testing.T, says []byte) {
		o, _ := playing(says)
		if all, err := handshake.List(t.Context(), "nbd://script", o); err == nil && len(all)*20 > len(says) {
			t.Errorf("%d exports of %d bytes", len(all), len(says))
		}
		o, _ = playing(says)
		if i, err := handshake.Inspect(t.Context(), "nbd://script", o); err == nil && i.SizeBytes < 0 {
			t.Errorf("%+v", i)
		}
	})
}

// FuzzAddress: an address that is read is written in a form that reads the same.
func FuzzAddress(f *testing.F) {
	for _, uri := range []string{"nbd://host:99/a%20b/c", "nbds+unix:///d?socket=/run/a%20b", "nbd://[::1%25eth0]/x", "nBd://::", "nbd://[::%25%25]"} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		a, err := handshake.ParseAddress(uri)
		if err != nil {
			return
		}
		a.TLSName, a.TLSCertificates = "", ""
		if again, err := handshake.ParseAddress(a.String()); err != nil || again != a {
			t.Errorf("%+v is written as %s and read as %+v, %v", a, a, again, err)
		}
	})
}

package handshake

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// defaultPort is the one registered for NBD.
const defaultPort = "10809"

// Address says where an export is. Its text form is that of doc/uri.md of the NetworkBlockDevice/nbd project:
//
//	nbd://HOST[:PORT]/EXPORT     nbd+unix:///EXPORT?socket=PATH     and nbds, nbds+unix for TLS
type Address struct {
	// Network and Host are what net.Dial takes: "tcp" and host:port, "unix" and a path.
	Network, Host string
	// Export is the name of the export; the empty one is the server's default.
	Export string
	// TLS is required.
	TLS bool
	// TLSName is the name the server's certificate must have, where it is not the host's.
	TLSName string
	// TLSCertificates is a directory of certificates as QEMU has them (see LoadTLS); empty for none named.
	TLSCertificates string
}

// ParseAddress reads a URI. Schemes and parameters that are not spoken here give ErrUnsupported.
func ParseAddress(uri string) (Address, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return Address{}, fmt.Errorf("nbd address: %w", err)
	}
	scheme, transport, _ := strings.Cut(u.Scheme, "+")
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Address{}, fmt.Errorf("nbd address %s: %w", uri, err)
	}
	a := Address{Export: strings.TrimPrefix(u.Path, "/"), TLS: scheme == "nbds"}
	a.TLSName, a.TLSCertificates = q.Get("tls-hostname"), q.Get("tls-certificates")
	switch {
	case scheme != "nbd" && scheme != "nbds":
		err = fmt.Errorf("scheme %q: %w", u.Scheme, ErrUnsupported)
	case q.Has("tls-psk-file") || u.User != nil:
		err = fmt.Errorf("tls with pre-shared keys: %w", ErrUnsupported)
	case len(a.Export) > stringMax:
		err = fmt.Errorf("an export's name has at most %d bytes", stringMax)
	default:
		err = a.setTransport(transport, u, q.Get("socket"))
	}
	if err != nil {
		return Address{}, fmt.Errorf("nbd address %s: %w", uri, err)
	}
	return a, nil
}

func (a *Address) setTransport(transport string, u *url.URL, socket string) error {
	switch transport {
	case "", "tcp":
		if u.Hostname() == "" || socket != "" {
			return errors.New("a host is needed, and no socket")
		}
		if err := checkHost(u.Hostname()); err != nil {
			return err
		}
		port := u.Port()
		if port == "" {
			port = defaultPort
		}
		a.Network, a.Host = "tcp", net.JoinHostPort(u.Hostname(), port)
	case "unix":
		if u.Host != "" || socket == "" {
			return errors.New("a socket is needed, and no host")
		}
		a.Network, a.Host = "unix", socket
	default:
		return fmt.Errorf("transport %q: %w", transport, ErrUnsupported)
	}
	return nil
}

// checkHost refuses what is neither a name nor an address, which alone may have a zone.
func checkHost(host string) error {
	strange := func(r rune) bool {
		return !strings.ContainsRune("-._:", r) && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}
	bare, zone, zoned := strings.Cut(host, "%")
	isAddress := strings.Contains(bare, ":")
	if strings.ContainsFunc(bare+zone, strange) || zoned && !isAddress {
		return fmt.Errorf("%q is no name of a host", host)
	}
	if !isAddress {
		return nil
	}
	_, err := netip.ParseAddr(host)
	return err
}

// String is the URI, without the TLS parameters.
func (a Address) String() string {
	u := url.URL{Scheme: "nbd", Path: "/" + a.Export}
	if a.TLS {
		u.Scheme = "nbds"
	}
	if a.Network == "unix" {
		u.Scheme += "+unix"
		return u.Scheme + "://" + u.EscapedPath() + "?socket=" + strings.ReplaceAll(url.QueryEscape(a.Host), "%2F", "/")
	}
	u.Host = a.Host
	return u.String()
}

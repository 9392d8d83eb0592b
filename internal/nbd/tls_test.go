package nbd_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"holdfast/internal/nbd"
	"holdfast/internal/nbd/handshake"
	"holdfast/internal/vfs"
)

// authority signs certificates for a test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t}
	a.key = newKey(t)
	a.cert = a.sign(&x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, a.key)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *authority) sign(template *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.Subject = pkix.Name{CommonName: "holdfast test"}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent := a.cert
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert
}

// put writes a certificate and its key as ROLE-cert.pem and ROLE-key.pem, beside the authority's.
func (a *authority) put(dir, role string) {
	key := newKey(a.t)
	cert := a.sign(&x509.Certificate{
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, key)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"ca-cert.pem":      {Type: "CERTIFICATE", Bytes: a.cert.Raw},
		role + "-cert.pem": {Type: "CERTIFICATE", Bytes: cert.Raw},
		role + "-key.pem":  {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
}

// certificates are two directories, of a server and of a client.
func certificates(t *testing.T) (server, client string) {
	a := newAuthority(t)
	server, client = t.TempDir(), t.TempDir()
	a.put(server, "server")
	a.put(client, "client")
	return server, client
}

// TestTLS reads over TLS from two servers that want a certificate of us, and is refused without one.
func TestTLS(t *testing.T) {
	serverDir, clientDir := certificates(t)
	disk := noise(1, 1<<20)
	name := imageOf(t, disk)
	for _, tt := range []struct {
		name, network string
		command       []string
	}{
		{"qemu", "tcp", []string{"qemu-nbd", "-r", "-t", "-e", "8", "-f", "raw", "--tls-creds", "x",
			"--object", "tls-creds-x509,id=x,endpoint=server,verify-peer=on,dir=" + serverDir, name}},
		{"nbdkit", "unix", []string{"nbdkit", "-f", "-r", "--tls=require", "--tls-verify-peer", "--tls-certificates=" + serverDir, "file", name}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, tt.network, tt.command...)
			config, err := handshake.LoadTLS(vfs.OS(), clientDir, "localhost")
			if err != nil {
				t.Fatal(err)
			}
			c := s.open("nbds", "", nbd.Options{Handshake: handshake.Options{TLS: config}})
			if !c.Info().TLS || c.Connections() != 4 {
				t.Errorf("%d connections, %+v", c.Connections(), c.Info())
			}
			readEverywhere(t, c, disk)

			stranger := &tls.Config{RootCAs: config.RootCAs, ServerName: "localhost"}
			if c, err := nbd.Open(t.Context(), s.uri("nbds", ""), nbd.Options{Handshake: handshake.Options{TLS: stranger}}); err == nil {
				c.Close()
				t.Error("opened without a certificate")
			}
			if _, err := nbd.Open(t.Context(), s.uri("nbd", ""), nbd.Options{}); !errors.Is(err, nbd.ErrTLSRequired) {
				t.Errorf("without TLS: %v", err)
			}
		})
	}
}

// TestTLSAddress takes certificates and name from the address.
func TestTLSAddress(t *testing.T) {
	serverDir, clientDir := certificates(t)
	s := serve(t, "unix", "nbdkit", "-f", "-r", "--tls=require", "--tls-certificates="+serverDir, "memory", "1M")
	uri := s.uri("nbds", "") + "&tls-certificates=" + clientDir
	files := nbd.Options{Handshake: handshake.Options{Files: vfs.OS()}}
	c, err := nbd.Open(t.Context(), uri+"&tls-hostname=localhost", files)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	var wrongName x509.HostnameError
	if _, err := nbd.Open(t.Context(), uri+"&tls-hostname=example.org", files); !errors.As(err, &wrongName) {
		t.Errorf("wrong name: %v", err)
	}
	_, otherDir := certificates(t)
	var unknown x509.UnknownAuthorityError
	uri = s.uri("nbds", "") + "&tls-hostname=localhost"
	if _, err := nbd.Open(t.Context(), uri+"&tls-certificates="+otherDir, files); !errors.As(err, &unknown) {
		t.Errorf("wrong authority: %v", err)
	}
	if _, err := nbd.Open(t.Context(), uri, files); !errors.As(err, &unknown) {
		t.Errorf("the system's authorities: %v", err)
	}
}

// TestTLSRefused: where TLS is required, a server without it is not spoken to.
func TestTLSRefused(t *testing.T) {
	_, clientDir := certificates(t)
	config, err := handshake.LoadTLS(vfs.OS(), clientDir, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{{"nbdkit", "-f", "-r", "memory", "1M"}, {"qemu-nbd", "-t", "-r", "-f", "raw", imageOf(t, noise(1, 512))}} {
		s := serve(t, "unix", command...)
		// Both ways to require it.
		if _, err := nbd.Open(t.Context(), s.uri("nbds", ""), nbd.Options{}); !errors.Is(err, nbd.ErrTLSRefused) {
			t.Errorf("%s: %v", command[0], err)
		}
		o := nbd.Options{Handshake: handshake.Options{TLS: config}}
		if _, err := nbd.Open(t.Context(), s.uri("nbd", ""), o); !errors.Is(err, nbd.ErrTLSRefused) {
			t.Errorf("%s: %v", command[0], err)
		}
	}
}

// TestTLSCancel: a read over TLS that is given up leaves the connection in order.
func TestTLSCancel(t *testing.T) {
	serverDir, clientDir := certificates(t)
	config, err := handshake.LoadTLS(vfs.OS(), clientDir, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	disk := noise(1, 8<<20)
	s := serve(t, "unix", "nbdkit", "-f", "-r", "--tls=require", "--tls-certificates="+serverDir, "file", imageOf(t, disk))
	gate := newGate()
	c := s.open("nbds", "", nbd.Options{Connections: 1, Handshake: handshake.Options{TLS: config, Dial: gate.dial}})
	cancelHalfway(t, c, gate, disk)
}

// cancelHalfway gives a read up of which a part has come, sees that its buffer is left alone from then on, and that the
// next read is right.
func cancelHalfway(t *testing.T, c *nbd.Client, g *gate, disk []byte) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p := make([]byte, 4<<20)
	g.shutAfter(1 << 20)
	go func() {
		<-g.shut
		cancel()
	}()
	if err := c.Read(ctx, p, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	clear(p)
	g.open()
	readEverywhere(t, c, disk)
	for _, b := range p {
		if b != 0 {
			t.Fatal("the buffer was written after the read had returned")
		}
	}
}

package handshake

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"holdfast/internal/vfs"
)

// LoadTLS makes a configuration of a directory of certificates as QEMU and libvirt have them: ca-cert.pem says whom to
// trust, client-cert.pem and client-key.pem (both may be missing) who we are. serverName is the name that the server's
// certificate must have; empty for the host's.
//
// Pre-shared keys are not possible: Go's TLS has none.
func LoadTLS(fsys vfs.FS, dir, serverName string) (*tls.Config, error) {
	ca, err := vfs.ReadFile(fsys, path.Join(dir, "ca-cert.pem"))
	if err != nil {
		return nil, fmt.Errorf("load tls certificates: %w", err)
	}
	config := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: serverName, MinVersion: tls.VersionTLS12}
	if !config.RootCAs.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("load tls certificates: %s/ca-cert.pem holds no certificate", dir)
	}
	cert, err := vfs.ReadFile(fsys, path.Join(dir, "client-cert.pem"))
	if errors.Is(err, fs.ErrNotExist) {
		return config, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load tls certificates: %w", err)
	}
	key, err := vfs.ReadFile(fsys, path.Join(dir, "client-key.pem"))
	if err != nil {
		return nil, fmt.Errorf("load tls certificates: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("load tls certificates: %s/client-cert.pem: %w", dir, err)
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}

// certificates are those that an address names, or the system's.
func (o Options) certificates(addr Address) (*tls.Config, error) {
	if addr.TLSCertificates == "" {
		return &tls.Config{MinVersion: tls.VersionTLS12}, nil
	}
	if o.Files == nil {
		return nil, fmt.Errorf("certificates of %s: no file system to read them from", addr.TLSCertificates)
	}
	return LoadTLS(o.Files, addr.TLSCertificates, addr.TLSName)
}

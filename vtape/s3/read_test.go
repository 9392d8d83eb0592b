package s3_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"holdfast/internal/s3test"
	"holdfast/vtape"
	"holdfast/vtape/devicetest"
	"holdfast/vtape/s3"
)

// Reads of any place and length give the bytes that are there, also from many goroutines at once, also when connections
// break again and again.
func TestReadAnywhere(t *testing.T) {
	server := start(t)
	proxy := s3test.NewProxy(t, server)
	dev := open(t, options(proxy.URL)).Device("v-")
	must(t, dev.Format(ctx, devicetest.Label("DEMO-001")))
	data := devicetest.Data(1, 23*mib+4567)
	devicetest.Write(t, dev, 1, devicetest.Header(1), data)
	proxy.Plan(func(r s3test.Request) s3test.Fault {
		if r.N%3 == 0 {
			return s3test.CutAnswer
		}
		return s3test.Pass
	})
	r, err := dev.Open(ctx, 1)
	must(t, err)
	defer r.Close()
	var wg sync.WaitGroup
	for seed := range uint64(4) {
		wg.Go(func() {
			chance := rand.New(rand.NewPCG(seed, 0))
			for range 100 {
				off := chance.IntN(len(data) + 1000)
				got := make([]byte, 1+chance.IntN(1<<chance.IntN(24)))
				want := data[min(off, len(data)):min(off+len(got), len(data))]
				n, err := r.ReadAt(got, int64(off))
				if n != len(want) || !bytes.Equal(got[:n], want) || (err == io.EOF) != (n < len(got)) || err != nil && err != io.EOF {
					t.Errorf("seed %d: read %d bytes at %d: %d, %v", seed, len(got), off, n, err)
				}
			}
		})
	}
	wg.Wait()
}

// Bytes that are gone, or that are not those of before, are damage, told with label, file and place; what is before
// them can be read.
func TestDamage(t *testing.T) {
	server := start(t)
	dev := open(t, options(server.URL)).Device("v-")
	must(t, dev.Format(ctx, devicetest.Label("DEMO-001")))
	head, err := devicetest.Header(1).Block()
	must(t, err)
	blocks := devicetest.Data(1, 3000)
	fill := func() {
		server.Put(t, bucket, "v-f00000001-filestart", bytes.TrimRight(head, "\x00"))
		for i, name := range []string{"0", "1", "2"} {
			server.Put(t, bucket, "v-f00000001-b000000000000000"+name+".data", blocks[1000*i:1000*i+1000])
		}
	}
	for what, harm := range map[string]func(key string){
		"gone": func(key string) {
			_, err := server.Client().DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: aws.String(bucket), Key: &key})
			must(t, err)
		},
		"another": func(key string) { server.Put(t, bucket, key, make([]byte, 1000)) },
		"shorter": func(key string) { server.Put(t, bucket, key, make([]byte, 10)) },
	} {
		fill()
		r, err := dev.Open(ctx, 1)
		must(t, err)
		harm("v-f00000001-b0000000000000001.data")
		got := make([]byte, 3000)
		n, err := r.ReadAt(got, 0)
		var damage *vtape.Damage
		if !errors.As(err, &damage) || n != 1000 || !bytes.Equal(got[:n], blocks[:1000]) {
			t.Errorf("%s: %d bytes, %v", what, n, err)
		} else if damage.Label != "DEMO-001" || damage.File != 1 || damage.Offset != vtape.HeaderBytes+1000 || damage.Length != 2000 {
			t.Errorf("%s: %v", what, damage)
		}
		must(t, r.Close())
	}
	fill()
	server.Put(t, bucket, "v-f00000001-filestart", []byte("rubbish"))
	r, err := dev.Open(ctx, 1)
	must(t, err)
	got := make([]byte, 3000)
	if n, err := r.ReadAt(got, 0); n != 3000 || err != nil || !bytes.Equal(got, blocks) || r.Header().Host != "" {
		t.Errorf("behind a damaged header: %d, %v", n, err)
	}
	must(t, r.Close())
}

// An answer to a read that another context ended says so, and is no damage.
func TestReadCancelled(t *testing.T) {
	server := start(t)
	dev := open(t, options(server.URL)).Device("v-")
	must(t, dev.Format(ctx, devicetest.Label("DEMO-001")))
	devicetest.Write(t, dev, 1, devicetest.Header(1), []byte("data"))
	ctx, cancel := context.WithCancel(ctx)
	r, err := dev.Open(ctx, 1)
	must(t, err)
	cancel()
	var damage *vtape.Damage
	if _, err := r.ReadAt(make([]byte, 4), 0); !errors.Is(err, context.Canceled) || errors.As(err, &damage) {
		t.Errorf("read: %v", err)
	}
	must(t, r.Close())
}

// What keeps a volume from being read is told apart: no bucket, no server, no right, no answer.
func TestTroubles(t *testing.T) {
	server := start(t)
	label := func(o s3.Options) error {
		_, err := open(t, o).Device("v-").ReadLabel(ctx)
		return err
	}
	o := options(server.URL)
	o.Bucket = "no-such-bucket"
	checkTrouble(t, label(o), vtape.ErrAbsent, "no bucket no-such-bucket")

	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	nobody := "http://" + l.Addr().String()
	must(t, l.Close())
	checkTrouble(t, label(options(nobody)), vtape.ErrAbsent, "cannot be reached")

	proxy := s3test.NewProxy(t, server)
	proxy.Plan(func(s3test.Request) s3test.Fault { return s3test.Hang })
	o = options(proxy.URL)
	o.Stall, o.Attempts = 100*time.Millisecond, 2
	checkTrouble(t, label(o), nil, "does not answer")

	store := open(t, options(server.URL))
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
	wrong, err := s3.New(ctx, options(server.URL))
	must(t, err)
	_, err = wrong.Device("v-").ReadLabel(ctx)
	checkTrouble(t, err, s3.ErrDenied, "SignatureDoesNotMatch")
	if err := store.Device("v-").Format(ctx, devicetest.Label("DEMO-001")); err != nil {
		t.Errorf("with the right key: %v", err)
	}
	server.Put(t, bucket, "v-special-tapestart", []byte("something else"))
	checkTrouble(t, label(options(server.URL)), vtape.ErrForeign, "")
	server.Put(t, bucket, "w-f00000001-filestart", []byte("no label here"))
	_, err = store.Device("w-").ReadLabel(ctx)
	checkTrouble(t, err, vtape.ErrForeign, "no label")
}

func checkTrouble(t *testing.T, err, want error, text string) {
	t.Helper()
	if err == nil || want != nil && !errors.Is(err, want) || !strings.Contains(err.Error(), text) || len(err.Error()) > 400 {
		t.Errorf("%v, want %v: %q", err, want, text)
	}
	if want != vtape.ErrAbsent && errors.Is(err, vtape.ErrAbsent) {
		t.Errorf("%v: is told as absent", err)
	}
}

// Options that contradict themselves are refused when the store is opened.
func TestBadOptions(t *testing.T) {
	s3test.Login(t)
	for text, change := range map[string]func(*s3.Options){
		"no bucket":      func(o *s3.Options) { o.Bucket = "" },
		"no clock":       func(o *s3.Options) { o.Now = nil },
		"connections":    func(o *s3.Options) { o.Connections = 1000 },
		"pieces of":      func(o *s3.Options) { o.PieceBytes = 1 << 20 },
		"checksum":       func(o *s3.Options) { o.Checksum = "crc64nvme" },
		"encryption":     func(o *s3.Options) { o.Encryption = "rot13" },
		"KMS key":        func(o *s3.Options) { o.KMSKey = "k" },
		"lock":           func(o *s3.Options) { o.LockMode = "soft" },
		"its end":        func(o *s3.Options) { o.LockMode = s3.LockGovernance },
		"negative":       func(o *s3.Options) { o.RateBytes = -1 },
		"endpoint":       func(o *s3.Options) { o.Endpoint = "127.0.0.1:80" },
		"no certificate": func(o *s3.Options) { o.CA = []byte("x") },
		"no-such":        func(o *s3.Options) { o.Profile = "no-such" },
	} {
		o := options("http://127.0.0.1:1")
		change(&o)
		if _, err := s3.New(ctx, o); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Over TLS the server is trusted by the CA file alone, and the data is not hashed for the signature.
func TestTLS(t *testing.T) {
	cert, key := certificate(t)
	server := s3test.Start(t, "--cert", cert, "--key", key)
	pemCert, err := os.ReadFile(cert)
	must(t, err)
	must(t, os.MkdirAll(server.Dir+"/"+bucket, 0o755)) // the administrator's client does not trust the server
	o := options(server.URL)
	checkTrouble(t, func() error { _, err := open(t, o).Device("v-").ReadLabel(ctx); return err }(), nil, "certificate")
	o.CA = pemCert
	dev := open(t, o).Device("v-")
	must(t, dev.Format(ctx, devicetest.Label("DEMO-001")))
	for n, size := range []int{1000, 6 * mib} {
		data := devicetest.Data(1, size)
		devicetest.Write(t, dev, n+1, devicetest.Header(n+1), data)
		devicetest.Check(t, dev, n+1, devicetest.Header(n+1), data)
	}
}

// certificate takes the one that net/http/httptest has for 127.0.0.1.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	pair := server.TLS.Certificates[0]
	cert, key = t.TempDir()+"/cert.pem", t.TempDir()+"/key.pem"
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})
	must(t, os.WriteFile(cert, block, 0o600))
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	must(t, err)
	must(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	return cert, key
}

package reports_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"holdfast/reports"
)

// mailServer is an SMTP server on the loopback interface that keeps what it is given.
type mailServer struct {
	mu       sync.Mutex
	mails    []received
	user     string
	password string
	// refuse gives the reply to a recipient or, for an empty one, to the text; nil accepts.
	refuse func(to string) *smtp.SMTPError
}

type received struct {
	from string
	to   []string
	tls  bool
	user string
	text []byte
}

func (s *mailServer) NewSession(c *smtp.Conn) (smtp.Session, error) {
	_, encrypted := c.TLSConnectionState()
	return &mailSession{server: s, mail: received{tls: encrypted}}, nil
}

type mailSession struct {
	server *mailServer
	mail   received
}

func (s *mailSession) Reset()                                      { s.mail.to = nil }
func (s *mailSession) Logout() error                               { return nil }
func (s *mailSession) Mail(from string, _ *smtp.MailOptions) error { s.mail.from = from; return nil }

func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	if s.server.refuse != nil {
		if reply := s.server.refuse(to); reply != nil {
			return reply
		}
	}
	s.mail.to = append(s.mail.to, to)
	return nil
}

func (s *mailSession) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if s.server.refuse != nil {
		if reply := s.server.refuse(""); reply != nil {
			return reply
		}
	}
	s.mail.text = text
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.mails = append(s.server.mails, s.mail)
	return nil
}

func (s *mailSession) AuthMechanisms() []string {
	if s.server.user == "" {
		return nil
	}
	return []string{sasl.Plain}
}

func (s *mailSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != s.server.user || password != s.server.password {
			return smtp.ErrAuthFailed
		}
		s.mail.user = user
		return nil
	}), nil
}

// start serves until the test ends and gives options that reach the server, by TLS if it offers that.
func (s *mailServer) start(t *testing.T, serverTLS *tls.Config) *reports.SMTPOptions {
	t.Helper()
	server := smtp.NewServer(s)
	server.Domain, server.TLSConfig = "mx.example", serverTLS
	server.ErrorLog = discard{}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Serve(l)
	}()
	t.Cleanup(func() {
		server.Close()
		l.Close() // the server knows of it only once it serves
		<-done
	})
	return &reports.SMTPOptions{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, TLS: reports.TLSOpportunistic}
}

type discard struct{}

func (discard) Printf(string, ...any) {}
func (discard) Println(...any)        {}

// certificate makes a certificate for 127.0.0.1 that only its pool trusts.
func certificate(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, pool
}

var mailDate = time.Date(2026, 10, 31, 6, 0, 0, 0, zone)

func options(s *reports.SMTPOptions, to ...string) reports.MailOptions {
	return reports.MailOptions{From: "Holdfast <backup@example.com>", To: to, Date: mailDate, SMTP: s}
}

// checkMail parses a mail and compares what a reader would see.
func checkMail(t *testing.T, text []byte, to, subject, body string) {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	got, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil || got != subject {
		t.Errorf("subject %q (%v), want %q", got, err, subject)
	}
	if date, err := m.Header.Date(); err != nil || !date.Equal(mailDate) {
		t.Errorf("date %v (%v), want %v", date, err, mailDate)
	}
	if !strings.HasSuffix(m.Header.Get("Message-ID"), "@example.com>") {
		t.Errorf("message id %q", m.Header.Get("Message-ID"))
	}
	if !strings.Contains(m.Header.Get("To"), to) {
		t.Errorf("to %q, want %q", m.Header.Get("To"), to)
	}
	if ct := m.Header.Get("Content-Type"); !strings.EqualFold(ct, "text/plain; charset=UTF-8") {
		t.Errorf("content type %q", ct)
	}
	plain, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimRight(strings.ReplaceAll(string(plain), "\r\n", "\n"), "\n"); got != strings.TrimRight(body, "\n") {
		t.Errorf("body %q, want %q", got, body)
	}
}

const (
	subject = "Größe FAIL: HOLDFAST MAIL REPORT FOR October 31, 2026"
	body    = "Hostname: bkserver\n\nzażółć\n.\n. a line of its own dot\n"
)

// TestSendSMTP delivers to each recipient: plain on localhost, by STARTTLS where a certificate is trusted, and with
// a password.
func TestSendSMTP(t *testing.T) {
	for _, c := range []struct {
		name           string
		tls            bool
		policy         reports.TLSPolicy
		user, password string
	}{
		{name: "localhost without TLS", policy: reports.TLSOpportunistic},
		{name: "localhost with a certificate of nobody", tls: true, policy: reports.TLSOpportunistic},
		{name: "no TLS wanted", tls: true, policy: reports.TLSNone},
		{name: "STARTTLS", tls: true, policy: reports.TLSMandatory},
		{name: "mandatory where nothing is said", tls: true},
		{name: "password", tls: true, policy: reports.TLSMandatory, user: "backup", password: "secret"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &mailServer{user: c.user, password: c.password}
			var serverTLS *tls.Config
			var pool *x509.CertPool
			if c.tls {
				serverTLS, pool = certificate(t)
			}
			o := s.start(t, serverTLS)
			o.TLS, o.User, o.Password = c.policy, c.user, c.password
			if c.policy != reports.TLSOpportunistic {
				o.TLSConfig = &tls.Config{RootCAs: pool}
			}
			if err := reports.Send(context.Background(), options(o, "a@example.com", "b@example.com"), subject, body); err != nil {
				t.Fatal(err)
			}
			if len(s.mails) != 2 {
				t.Fatalf("%d mails, want 2", len(s.mails))
			}
			for i, to := range []string{"a@example.com", "b@example.com"} {
				m := s.mails[i]
				if m.from != "backup@example.com" || len(m.to) != 1 || m.to[0] != to || m.user != c.user {
					t.Errorf("mail %d: from %s to %v by %q", i, m.from, m.to, m.user)
				}
				if want := c.tls && c.policy != reports.TLSNone; m.tls != want {
					t.Errorf("mail %d: TLS %t, want %t", i, m.tls, want)
				}
				checkMail(t, m.text, to, subject, body)
			}
		})
	}
}

// TestSendRefused tells what may pass from what will not.
func TestSendRefused(t *testing.T) {
	reply := func(code int) func(string) *smtp.SMTPError {
		return func(to string) *smtp.SMTPError {
			if to != "" && to != "bad@example.com" {
				return nil
			}
			return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 0, 0}, Message: "no"}
		}
	}
	for _, c := range []struct {
		name      string
		refuse    func(string) *smtp.SMTPError
		change    func(*reports.MailOptions)
		temporary bool
		want      string
	}{
		{name: "recipient refused for now", refuse: reply(451), temporary: true, want: "451"},
		{name: "recipient refused", refuse: reply(550), want: "550"},
		{name: "text refused for now", refuse: reply(452), change: func(o *reports.MailOptions) { o.To = []string{"good@example.com"} },
			temporary: true, want: "452"},
		{name: "TLS demanded of a server without", change: func(o *reports.MailOptions) { o.SMTP.TLS = reports.TLSMandatory }, temporary: true, want: "STARTTLS"},
		{name: "password where none is asked for", change: func(o *reports.MailOptions) { o.SMTP.User = "backup" }, temporary: true, want: "AUTH"},
		{name: "nobody listens", change: func(o *reports.MailOptions) { o.SMTP.Port = 1 }, temporary: true, want: "refused"},
		{name: "no recipients", change: func(o *reports.MailOptions) { o.To = nil }, want: "no recipients"},
		{name: "no address", change: func(o *reports.MailOptions) { o.To = []string{"root at home"} }, want: "root at home"},
		{name: "no sender", change: func(o *reports.MailOptions) { o.From = "" }, want: "sender"},
		{name: "no way", change: func(o *reports.MailOptions) { o.SMTP = nil }, want: "either"},
		{name: "two ways", change: func(o *reports.MailOptions) { o.Sendmail = []string{"true"} }, want: "either"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &mailServer{refuse: c.refuse}
			o := options(s.start(t, nil), "bad@example.com")
			if c.change != nil {
				c.change(&o)
			}
			err := reports.Send(context.Background(), o, subject, body)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want %q in it", err, c.want)
			}
			if got := errors.Is(err, reports.ErrMailTemporary); got != c.temporary {
				t.Errorf("%v: temporary %t, want %t", err, got, c.temporary)
			}
		})
	}
}

// TestSendOneRefused: a wrong address keeps the report from nobody else.
func TestSendOneRefused(t *testing.T) {
	s := &mailServer{refuse: func(to string) *smtp.SMTPError {
		if to == "gone@example.com" {
			return &smtp.SMTPError{Code: 550, Message: "no such user"}
		}
		return nil
	}}
	o := options(s.start(t, nil), "gone@example.com", "here@example.com")
	err := reports.Send(context.Background(), o, subject, body)
	if err == nil || !strings.Contains(err.Error(), "gone@example.com") || errors.Is(err, reports.ErrMailTemporary) {
		t.Errorf("error %v", err)
	}
	if len(s.mails) != 1 || s.mails[0].to[0] != "here@example.com" {
		t.Errorf("delivered: %+v", s.mails)
	}
}

// TestSendSecrets: a wrong password is an error without the password in it, and none is sent in the clear or to a server
// that cannot show who it is.
func TestSendSecrets(t *testing.T) {
	serverTLS, pool := certificate(t)
	s := &mailServer{user: "backup", password: "right"}
	o := s.start(t, serverTLS)
	o.User, o.Password, o.TLS, o.TLSConfig = "backup", "wr0ng", reports.TLSMandatory, &tls.Config{RootCAs: pool}
	err := reports.Send(context.Background(), options(o, "a@example.com"), subject, body)
	if err == nil || strings.Contains(err.Error(), "wr0ng") || errors.Is(err, reports.ErrMailTemporary) {
		t.Errorf("wrong password: %v", err)
	}
	o.Password, o.TLSConfig = "right", &tls.Config{}
	err = reports.Send(context.Background(), options(o, "a@example.com"), subject, body)
	var untrusted *tls.CertificateVerificationError
	if !errors.As(err, &untrusted) || errors.Is(err, reports.ErrMailTemporary) {
		t.Errorf("certificate of nobody: %v", err)
	}
	if len(s.mails) != 0 {
		t.Errorf("delivered: %+v", s.mails)
	}
}

// TestSendCancelled: a server that says nothing holds nobody up for longer than they wish.
func TestSendCancelled(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, "220 mx.example\r\n")
		bufio.NewScanner(conn).Scan()
		cancel() // the client waits for an answer to its greeting
		io.Copy(io.Discard, conn)
	}()
	o := options(&reports.SMTPOptions{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port}, "a@example.com")
	if err := reports.Send(ctx, o, subject, body); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

// TestSendDropped: a server that goes away before it has the mail has not got it, whatever it had said until then.
func TestSendDropped(t *testing.T) {
	for _, answers := range [][]string{
		{"220 mx.example"},
		{"220 mx.example", "250 mx.example"},
		{"220 mx.example", "250 mx.example", "250 ok"},
		{"220 mx.example", "250 mx.example", "250 ok", "250 ok", "250 ok"},
		{"421 mx.example is busy"},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			lines := bufio.NewScanner(conn)
			for _, answer := range answers {
				io.WriteString(conn, answer+"\r\n")
				lines.Scan()
			}
		}()
		o := options(&reports.SMTPOptions{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port}, "a@example.com")
		if err := reports.Send(context.Background(), o, subject, body); !errors.Is(err, reports.ErrMailTemporary) {
			t.Errorf("after %q: error %v, want a temporary one", answers, err)
		}
		l.Close()
	}
}

// TestSendTwice: the same report has the same Message-ID, another one another.
func TestSendTwice(t *testing.T) {
	s := &mailServer{}
	o := options(s.start(t, nil), "a@example.com")
	for _, text := range []string{body, body, "another"} {
		if err := reports.Send(context.Background(), o, subject, text); err != nil {
			t.Fatal(err)
		}
	}
	var ids []string
	for _, m := range s.mails {
		parsed, err := mail.ReadMessage(bytes.NewReader(m.text))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, parsed.Header.Get("Message-ID"))
	}
	if ids[0] != ids[1] || ids[1] == ids[2] {
		t.Errorf("message ids %q", ids)
	}
}

// TestSendmail hands the mail to a command, and reads its exit status.
func TestSendmail(t *testing.T) {
	dir := t.TempDir()
	kept := filepath.Join(dir, "kept")
	script := func(text string) string {
		path := filepath.Join(dir, "sendmail")
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	o := options(nil, "a@example.com", "b@example.com")
	o.Sendmail = []string{script(`printf '%s\n' "$@" > "` + kept + `.args"; cat > "` + kept + `"`), "-oi", "-t", "$HOME; true"}
	if err := reports.Send(context.Background(), o, subject, body); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(kept)
	if err != nil {
		t.Fatal(err)
	}
	checkMail(t, text, "<a@example.com>, <b@example.com>", subject, body)
	args, err := os.ReadFile(kept + ".args")
	if err != nil || string(args) != "-oi\n-t\n$HOME; true\n" {
		t.Errorf("arguments %q (%v): no shell may touch them", args, err)
	}
	for _, c := range []struct {
		text, want string
		temporary  bool
	}{
		{"cat > /dev/null; echo queue is full >&2; exit 75", "queue is full", true},
		{"cat > /dev/null; echo no such user >&2; exit 67", "no such user", false},
		{"exit 64", "exit status 64", false},
	} {
		o.Sendmail = []string{script(c.text)}
		err := reports.Send(context.Background(), o, subject, body)
		if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, reports.ErrMailTemporary) != c.temporary {
			t.Errorf("%s: %v", c.text, err)
		}
	}
	o.Sendmail = []string{filepath.Join(dir, "absent")}
	if err := reports.Send(context.Background(), o, subject, body); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent command: %v", err)
	}
}

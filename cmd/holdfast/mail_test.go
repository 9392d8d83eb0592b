package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"
)

// keeper is an SMTP server that keeps the mails it is given.
type keeper struct{ mails chan string }

func (k keeper) NewSession(*smtp.Conn) (smtp.Session, error) { return &keeping{keeper: k}, nil }

type keeping struct {
	keeper
	to string
}

func (*keeping) Reset()                                      {}
func (*keeping) Logout() error                               { return nil }
func (*keeping) Mail(string, *smtp.MailOptions) error        { return nil }
func (k *keeping) Rcpt(to string, _ *smtp.RcptOptions) error { k.to = to; return nil }
func (k *keeping) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	k.mails <- k.to + "\n" + string(text)
	return err
}

// TestRunMailsReport shows that a run hands its report to the mail server of the configuration, and that a report can be
// sent again; and that a run whose mail is refused says so and keeps its work.
func TestRunMailsReport(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k := keeper{mails: make(chan string, 4)}
	server := smtp.NewServer(k)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	dir := t.TempDir()
	image := filepath.Join(dir, "images", "web01.raw")
	if err := os.MkdirAll(filepath.Dir(image), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(image, bytes.Repeat([]byte("holdfast"), 64<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "hf.yaml")
	call := func(want int, args ...string) string {
		t.Helper()
		var out, errOut bytes.Buffer
		if code := run(context.Background(), append([]string{"holdfast", "--config", config}, args...), nil, &out, &errOut); code != want {
			t.Fatalf("%v: exit status %d, want %d\n%s%s", args, code, want, &out, &errOut)
		}
		return errOut.String()
	}
	call(0, "init", "--images", filepath.Dir(image), "--org", "site")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	mailed := strings.Replace(string(text), "mailto: []", "mailto: [root@example.org]\nmail: {smtp: \""+listener.Addr().String()+"\", from: hf@example.org}", 1)
	if err := os.WriteFile(config, []byte(mailed), 0o600); err != nil {
		t.Fatal(err)
	}
	call(0, "run")
	first := <-k.mails
	for _, want := range []string{"root@example.org\n", "Subject: site HOLDFAST MAIL REPORT FOR ", "DUMP SUMMARY:", "web01"} {
		if !strings.Contains(first, want) {
			t.Errorf("mail lacks %q:\n%s", want, first)
		}
	}
	call(0, "report", "--mail")
	if again := <-k.mails; !strings.Contains(again, "DUMP SUMMARY:") {
		t.Errorf("mail sent again:\n%s", again)
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	<-served
	if said := call(1, "run"); !strings.Contains(said, "mail the report") {
		t.Errorf("a mail that could not be sent is not told: %q", said)
	}
}

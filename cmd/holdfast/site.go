package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"filippo.io/age"
	"github.com/gofrs/flock"
	"github.com/urfave/cli/v2"

	"holdfast/catalog/sqlstore"
	"holdfast/configs"
	"holdfast/dumpers"
	"holdfast/dumpers/file"
	"holdfast/internal/frames"
	"holdfast/internal/vfs"
	"holdfast/reports"
	"holdfast/scheduler/recovery"
	nightly "holdfast/scheduler/run"
)

// site is a configuration with its catalog, open.
type site struct {
	*nightly.Night
	lock *flock.Flock
	// release unmounts what was mounted.
	release func()
}

// loadConfig reads the configuration that the call names.
func loadConfig(c *cli.Context) (*configs.Config, error) {
	path := cmp.Or(c.String(configFlag), defaultConfigPath)
	read := os.ReadFile
	if kept := os.Getenv(keptConfigEnv); kept != "" {
		read = func(string) ([]byte, error) { return os.ReadFile(kept) }
	}
	cfg, err := configs.Load(path, read)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, withHint(err, "name the configuration with --config FILE or HOLDFAST_CONFIG; `holdfast init --images DIR` writes one")
	}
	return cfg, err
}

// access is what a command does with the site.
type access int

const (
	// toRead looks at what runs have left; without a catalog there is nothing to see.
	toRead access = iota
	// toPlan may note a wish in the catalog, and works before the first run, too. It works beside a run.
	toPlan
	// toWork writes to media: one at a time.
	toWork
)

// openSite opens the configuration and its catalog.
func (a *app) openSite(c *cli.Context, how access) (*site, error) {
	cfg, err := loadConfig(c)
	if err != nil {
		return nil, err
	}
	s := &site{}
	if how == toWork {
		if s.lock, err = takeLock(cfg.State); err != nil {
			return nil, err
		}
	}
	store, err := openStore(c.Context, cfg, how != toRead)
	if err != nil {
		s.close()
		return nil, err
	}
	s.Night = &nightly.Night{
		Config: cfg, Store: store, FS: vfs.OS(), Source: sourceOf, Recipients: readRecipients, Now: time.Now,
		Workers: workers(), Version: version, PID: os.Getpid(),
		Hooks: nightly.HookProcess{Env: hookEnvironment(), Owner: owner(os.Getpid()), Alive: ownerLives},
	}
	a.useMedia(s)
	s.Host, _ = os.Hostname() // the report does without
	if len(cfg.MailTo) > 0 {
		s.Mail = func(ctx context.Context, subject, body string) error { return mail(ctx, cfg, s.Now(), subject, body) }
	}
	return s, nil
}

func (s *site) close() {
	if s.release != nil {
		s.release()
	}
	if s.Night != nil {
		_ = s.Store.Close() // every write was durable when it was reported
	}
	if s.lock != nil {
		_ = s.lock.Unlock()
	}
}

// errAtWork: the site belongs to another process just now.
var errAtWork = errors.New("another holdfast is at work")

// takeLock makes sure that no two runs work at once. The lock goes with the process, however it ends.
func takeLock(state string) (*flock.Flock, error) {
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	lock := flock.New(filepath.Join(state, "lock"))
	ok, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", state, err)
	}
	if !ok {
		return nil, withHint(fmt.Errorf("%w on %s", errAtWork, state), "`holdfast status` shows what it does")
	}
	return lock, nil
}

// openStore opens the catalog; the first command that may change something makes it.
func openStore(ctx context.Context, cfg *configs.Config, create bool) (*sqlstore.Store, error) {
	path := filepath.Join(cfg.State, catalogFile)
	if create {
		if err := os.MkdirAll(cfg.State, 0o700); err != nil {
			return nil, fmt.Errorf("state directory: %w", err)
		}
	}
	store, err := sqlstore.Open(ctx, path, sqlstore.Options{Create: create, ReadOnly: !create})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, withHint(fmt.Errorf("no catalog at %s: %w", path, errNoRun), "`holdfast run` makes it; if there were runs, is the file system of the state directory mounted?")
	}
	return store, err
}

// sourceOf gives the source of a DLE.
func sourceOf(d configs.DLE) (dumpers.Source, error) {
	return file.New(file.Options{Disk: d.Disk, Path: d.Image, Format: string(d.Format), BaseDumped: d.Base != nil})
}

func readRecipients(path string) ([]age.Recipient, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("recipients: %w", err)
	}
	recipients, err := frames.LoadRecipients(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("recipients %s: %w", path, err)
	}
	return recipients, nil
}

// recovery is the site as restores see it.
func (s *site) recovery(ids []age.Identity) *recovery.Site {
	return &recovery.Site{
		Catalog: recovery.FromStore{Store: s.Store}, FS: s.FS, Device: s.Device(), Map: s.Maps().Open, Identities: ids,
		Workers: workers(), Rank: s.rank,
	}
}

// rank puts storages that are near before those behind a network.
func (s *site) rank(storage string) int {
	switch s.Config.Storage[storage].Device {
	case configs.DeviceDir:
		return 0
	case configs.DeviceRAIT:
		return 1
	}
	return 2
}

// ownAddress is the sender where the configuration names none.
func ownAddress() string {
	host, _ := os.Hostname() // without a name it is this host all the same
	return "holdfast@" + cmp.Or(host, "localhost")
}

// mail sends a report as the configuration says.
func mail(ctx context.Context, cfg *configs.Config, now time.Time, subject, body string) error {
	o := reports.MailOptions{From: cmp.Or(cfg.Mail.From, ownAddress()), To: cfg.MailTo, Date: now}
	if cfg.Mail.SMTP == "" {
		o.Sendmail = []string{cfg.Mail.Sendmail, "-oi", "-t"}
		return reports.Send(ctx, o, subject, body)
	}
	host, port, err := net.SplitHostPort(cfg.Mail.SMTP)
	if err != nil {
		return fmt.Errorf("mail server: %w", err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return fmt.Errorf("mail server: port %q: %w", port, err)
	}
	o.SMTP = &reports.SMTPOptions{Host: host, Port: number, TLS: reports.TLSPolicy(cfg.Mail.TLS), User: cfg.Mail.User}
	if cfg.Mail.PasswordFile != "" {
		password, err := os.ReadFile(cfg.Mail.PasswordFile)
		if err != nil {
			return fmt.Errorf("mail password: %w", err)
		}
		line, _, _ := bytes.Cut(password, []byte("\n"))
		o.SMTP.Password = string(line)
	}
	return reports.Send(ctx, o, subject, body)
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"filippo.io/age"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"holdfast/catalog"
	"holdfast/dumpers/file"
	"holdfast/internal/frames"
	"holdfast/internal/vfs"
	"holdfast/scheduler/recovery"
	"holdfast/vtape"
)

func (a *app) restoreCommand() *cli.Command {
	return &cli.Command{
		Name: "restore", Usage: "bring an image back, every block checked", ArgsUsage: usageDisk,
		Description: `TARGET is a file, a block device, or - for standard output. The latest dump is taken unless --at, --run or
--level says otherwise. With --from-media nothing but the media is needed: no catalog, no configuration. It is given once for
each PLACE: a library's directory, a slot, a holding disk.

EXAMPLES
   holdfast restore web01 --to /tmp/web01.raw
   holdfast restore web01 --at '2026-11-20 12:00' --format qcow2 --to /tmp/web01.qcow2
   holdfast restore web01 disk1 --to /dev/vg0/web01 --force
   holdfast restore web01 --to - | zstd > web01.raw.zst
   holdfast restore --from-media /media/vtapes web01 --to /tmp/web01.raw
   holdfast restore --from-media /media/disk1 --from-media /media/disk2 web01 --to /tmp/web01.raw
   holdfast restore web01 --metadata /tmp/web01       what was kept with the image, as its domain XML`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "to", Usage: "`TARGET`: a file, a block device, or - (must be given, or --metadata)"},
			&cli.StringFlag{Name: "metadata", Usage: "write the documents kept with the dump (domain XML and the like) into `DIR`"},
			&cli.StringFlag{Name: "at", Usage: "the disk as it was at `TIME`: the latest dump from before it"},
			&cli.StringFlag{Name: "run", Usage: "the dump of the run with this `STAMP`"},
			&cli.StringFlag{Name: "level", Usage: "a dump of level `N`, and what it builds on"},
			&cli.StringFlag{Name: "format", Usage: "`FORMAT` of the target, raw or qcow2", Value: "raw"},
			&cli.BoolFlag{Name: "force", Usage: "replace an existing file, overwrite a block device"},
			&cli.StringSliceFlag{Name: "from-media", Usage: "read `PLACE` without a catalog: a library's directory, a slot, a holding disk; may be given several times"},
			&cli.BoolFlag{Name: "no-hooks", Usage: "run none of the hooks that the configuration has for restores"},
			identityFlag(),
			&cli.StringFlag{Name: "decrypt-with", Usage: "`PROGRAM` that decrypts a dump that Amanda encrypted, as PROGRAM -d"},
		},
		Action: a.restore,
	}
}

func identityFlag() cli.Flag {
	return &cli.StringSliceFlag{
		Name: "identity", Aliases: []string{"i"}, Usage: "`FILE` with the age or ssh key of encrypted dumps", EnvVars: []string{"HOLDFAST_IDENTITY"},
	}
}

func (a *app) restore(c *cli.Context) error {
	wanted, err := wantedDump(c)
	if err != nil {
		return err
	}
	if c.String("to") == "" && c.String("metadata") == "" {
		return withHint(usagef("restore wants --to TARGET"), "TARGET is a file, a block device, or - for standard output")
	}
	format := recovery.Format(c.String("format"))
	if format != recovery.FormatRaw && format != recovery.FormatQcow2 {
		return usagef("format %q: want raw or qcow2", format)
	}
	ids, err := a.identities(c)
	if err != nil {
		return err
	}
	src, s, err := a.restoreSite(c, ids)
	if err != nil {
		return err
	}
	if s != nil {
		defer s.close()
	}
	src.Note = func(text string) { a.say("note", text) }
	bar := a.progressBar("restore")
	src.Progress = bar.update
	defer bar.end()
	d, err := recovery.Select(c.Context, src.Catalog, wanted)
	if errors.Is(err, recovery.ErrNoDump) && len(c.StringSlice("from-media")) == 0 {
		return neverDumped(c, src.Catalog, wanted, err)
	}
	if err != nil {
		return err
	}
	if err := a.restoreMetadata(c, src, d); err != nil || c.String("to") == "" {
		return err
	}
	return a.hookedRestore(c, s, d, func() error {
		if d.Program != catalog.ProgramImage {
			return a.restoreNative(c, src, d)
		}
		return a.restoreImage(c, src, d, bar)
	})
}

// restoreImage writes the image that a dump is of.
func (a *app) restoreImage(c *cli.Context, src *recovery.Site, d catalog.Dump, bar *bar) error {
	keyGiven := len(src.Identities) > 0
	chain, err := src.OpenChain(c.Context, d)
	if err != nil {
		return restoreHint(err, d, keyGiven)
	}
	defer chain.Close()
	if err := a.restoreChain(c, chain, recovery.Format(c.String("format"))); err != nil {
		return restoreHint(err, d, keyGiven)
	}
	bar.end()
	fmt.Fprintf(a.stderr, "restored %s, level %d of %s, %d bytes, %s\n", d.DLE, d.Level, d.Stamp, chain.SizeBytes(), proof(chain))
	return nil
}

// neverDumped says of a disk that is configured and not in the catalog just that; other errors it leaves as they are.
func neverDumped(c *cli.Context, known recovery.Catalog, w recovery.Wanted, err error) error {
	cfg, cfgErr := loadConfig(c)
	if cfgErr != nil {
		return err
	}
	for _, d := range cfg.Match(w.VM) {
		if w.Disk != "" && w.Disk != d.Disk {
			continue
		}
		name := d.Name()
		if dumps, dumpsErr := known.Dumps(c.Context, &name); dumpsErr == nil && len(dumps) == 0 {
			return withHint(fmt.Errorf("%s has never been dumped", name), "`holdfast run %s` dumps it", name)
		}
	}
	return err
}

func proof(c *recovery.Chain) string {
	if c.Checked() {
		return "every block compared with its digest"
	}
	return "checked by the frames' checksums (no block map)"
}

func (a *app) restoreChain(c *cli.Context, chain *recovery.Chain, format recovery.Format) error {
	to := c.String("to")
	if to != "-" {
		path, err := filepath.Abs(to)
		if err != nil {
			return err
		}
		return chain.Restore(c.Context, recovery.Output{Path: path, Format: format, Force: c.Bool("force"), InUse: file.InUse})
	}
	if terminalWidth(a.stdout.Writer) > 0 {
		return usagef("a terminal does not take an image: redirect standard output")
	}
	if format == recovery.FormatQcow2 {
		return chain.WriteQcow2(c.Context, a.stdout)
	}
	return chain.WriteRaw(c.Context, a.stdout)
}

// maxLevel is Amanda's.
const maxLevel = 9

// wantedDump reads which dump is meant.
func wantedDump(c *cli.Context) (recovery.Wanted, error) {
	w := recovery.Wanted{VM: c.Args().Get(0), Disk: c.Args().Get(1), Level: -1}
	if w.VM == "" || c.NArg() > 2 {
		return w, withHint(usagef("restore wants a VM, and a disk if it has several"), "holdfast restore VM [DISK] --to TARGET")
	}
	if text := c.String("level"); text != "" {
		level, err := strconv.Atoi(text)
		if err != nil || level < 0 || level > maxLevel {
			return w, usagef("level %q: want 0 to %d", text, maxLevel)
		}
		w.Level = catalog.Level(level)
	}
	if text := c.String("at"); text != "" {
		at, err := parseTime(text)
		if err != nil {
			return w, err
		}
		w.At = at
	}
	if text := c.String("run"); text != "" {
		stamp, err := catalog.ParseStamp(text)
		if err != nil {
			return w, &usageError{err}
		}
		w.Run = stamp
	}
	return w, nil
}

// restoreSite opens the catalog of the configuration, or the media named; then there is no site.
func (a *app) restoreSite(c *cli.Context, ids []age.Identity) (*recovery.Site, *site, error) {
	words := c.StringSlice("from-media")
	if len(words) == 0 {
		s, err := a.openSite(c, toRead)
		if err != nil {
			return nil, nil, err
		}
		return s.recovery(ids), s, nil
	}
	bar := a.progressBar("read media")
	media, err := openMedia(c.Context, words, func(text string) { a.say("note", text) }, bar.show)
	bar.end()
	if err != nil {
		return nil, nil, err
	}
	for _, damaged := range media.Damaged {
		a.say("note", fmt.Sprintf("left out: %v", damaged))
	}
	return &recovery.Site{Catalog: media, FS: vfs.OS(), Device: media.Device, Identities: ids, Workers: workers()}, nil, nil
}

// restoreMetadata writes the documents that were kept with the dump, if that was asked for.
func (a *app) restoreMetadata(c *cli.Context, src *recovery.Site, d catalog.Dump) error {
	dir := c.String("metadata")
	if dir == "" {
		return nil
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	names, err := src.WriteMetadata(c.Context, d, dir, c.Bool("force"))
	if err != nil {
		return restoreHint(err, d, true)
	}
	if len(names) == 0 {
		a.say("note", fmt.Sprintf("no documents were kept with %s", d.ID))
	}
	for _, name := range names {
		fmt.Fprintf(a.stderr, "wrote %s\n", filepath.Join(dir, name))
	}
	return nil
}

// restoreNative writes a dump that is not one of our streams as it was backed up.
func (a *app) restoreNative(c *cli.Context, src *recovery.Site, d catalog.Dump) error {
	n, err := src.OpenNative(c.Context, d)
	if err != nil {
		return restoreHint(err, d, true)
	}
	defer n.Close()
	var written int64
	write := func(w io.Writer) error {
		var err error
		written, err = n.WriteTo(c.Context, w, c.String("decrypt-with"))
		return err
	}
	if to := c.String("to"); to == "-" {
		err = write(a.stdout)
	} else {
		err = recovery.WriteFile(src.FS, to, c.Bool("force"), write)
	}
	if err != nil {
		return restoreHint(err, d, true)
	}
	fmt.Fprintf(a.stderr, "restored %s, level %d of %s, as the stream that was backed up, %d bytes\n", d.DLE, d.Level, d.Stamp, written)
	return nil
}

// identities reads the files with keys; a passphrase is asked for on the terminal.
func (a *app) identities(c *cli.Context) ([]age.Identity, error) {
	var all []age.Identity
	for _, path := range c.StringSlice("identity") {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("identity: %w", err)
		}
		ids, err := frames.LoadIdentities(bytes.NewReader(data), a.passphrase(path))
		if err != nil {
			return nil, fmt.Errorf("identity %s: %w", path, err)
		}
		all = append(all, ids...)
	}
	return all, nil
}

// passphrase asks for the passphrase of a key file, or takes it from the environment where nobody is there to ask.
func (a *app) passphrase(path string) func() (string, error) {
	return func() (string, error) {
		if p, ok := os.LookupEnv("HOLDFAST_PASSPHRASE"); ok {
			return p, nil
		}
		tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
		if err != nil {
			return "", errors.New("a passphrase is needed, and there is no terminal to ask on (HOLDFAST_PASSPHRASE is not set)")
		}
		defer tty.Close()
		fmt.Fprintf(tty, "passphrase for %s: ", path)
		p, err := term.ReadPassword(int(tty.Fd()))
		fmt.Fprintln(tty)
		return string(p), err
	}
}

// restoreHint adds what helps to the errors of a restore.
func restoreHint(err error, d catalog.Dump, keyGiven bool) error {
	switch {
	case errors.Is(err, frames.ErrNoIdentity) && keyGiven:
		err = fmt.Errorf("%s is encrypted, and none of the keys given opens it", d.ID)
		return withHint(err, "it opens with the key that belonged to the recipients when it was dumped")
	case errors.Is(err, frames.ErrNoIdentity):
		return withHint(fmt.Errorf("%s is encrypted, and no key was given", d.ID), "give it with --identity FILE")
	case errors.Is(err, vtape.ErrAbsent):
		return withHint(err, "mount the file system of the vtapes, or give their directory with --from-media")
	case errors.Is(err, recovery.ErrExists):
		return withHint(err, "--force replaces it")
	case errors.Is(err, recovery.ErrNeedsProgram):
		return withHint(err, "name the program with --decrypt-with; it is run as PROGRAM -d, the dump on its standard input")
	case errors.Is(err, context.Canceled):
		return errors.New("restore was interrupted; nothing is left of it")
	}
	return err
}

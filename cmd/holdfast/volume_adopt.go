package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"holdfast/catalog/sqlstore"
	"holdfast/configs"
	"holdfast/internal/vfs"
	"holdfast/scheduler/amanda"
	"holdfast/scheduler/recovery"
	nightly "holdfast/scheduler/run"
)

func (a *app) adoptCommand() *cli.Command {
	return &cli.Command{
		Name: "adopt", Usage: "bring a library that Amanda has written into the catalog, for restores", ArgsUsage: "PLACE",
		Description: `PLACE is the library: a directory, rait:{DIR,DIR,...} or s3:BUCKET/PREFIX. It must be that of a storage in the
configuration. Its volumes come into the catalog with all that lies on them, and are never overwritten until you say
"volume reuse". What Amanda's tapelist and logs know besides is taken over, and said where they disagree with the media. The
only thing written to the library is the mark that says whose it is; Amanda must not use it any more. Done twice it changes nothing.

EXAMPLES
   holdfast volume adopt /srv/amanda/vtapes --storage amanda --amanda /etc/amanda/daily
   holdfast volume adopt /srv/amanda/vtapes --storage amanda --tapelist tapelist --logs log
   holdfast volume adopt 'rait:{/disk1/vtapes,/disk2/vtapes,/disk3/vtapes}' --storage set`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "storage", Usage: "`NAME` of the storage in the configuration (must be given)"},
			&cli.StringFlag{Name: "amanda", Usage: "`DIR` of Amanda's configuration, whose amanda.conf names tapelist and logs"},
			&cli.StringFlag{Name: "tapelist", Usage: "Amanda's tapelist is `FILE`"},
			&cli.StringFlag{Name: "logs", Usage: "Amanda's logs are in `DIR`"},
			jsonFlag(),
		},
		Action: a.adopt,
	}
}

func (a *app) adopt(c *cli.Context) error {
	if c.NArg() != 1 {
		return withHint(usagef("volume adopt wants one place"), "holdfast volume adopt PLACE --storage NAME")
	}
	place, err := parsePlace(c.Args().First())
	if err != nil {
		return err
	}
	cfg, err := loadConfig(c)
	if err != nil {
		return err
	}
	st, err := adoptingStorage(c, cfg, place)
	if err != nil {
		return err
	}
	lists, err := amandaLists(c)
	if err != nil {
		return err
	}
	s, err := a.openSite(c, toWork)
	if err != nil {
		return err
	}
	defer s.close()
	found, err := a.readLibrary(c, s.Opener(), place, st)
	if err != nil {
		return err
	}
	adopter := amanda.Adopter{Store: s.Store, Mark: func(ctx context.Context) error {
		st.Slots = 0 // the mark alone: no slot is made
		return s.Opener().Create(ctx, st)
	}}
	r, err := adopter.Adopt(c.Context, st.Name, found, lists)
	if errors.Is(err, sqlstore.ErrTaken) {
		return withHint(err, "labels are given once: `holdfast volume list` shows the other; read this one with `restore --from-media`")
	}
	if err != nil {
		return err
	}
	return a.tellAdopted(c, r)
}

// adoptingStorage finds the storage that the library is to belong to, and makes sure that it is that library.
func adoptingStorage(c *cli.Context, cfg *configs.Config, place mediaPlace) (configs.Storage, error) {
	name := c.String("storage")
	if name == "" {
		return configs.Storage{}, withHint(usagef("volume adopt wants --storage NAME"), "write one for the library into the configuration: %s", storageSnippet("amanda", place))
	}
	st, ok := cfg.Storage[name]
	if !ok {
		return st, withHint(fmt.Errorf("storage %q is not in the configuration", name), "write it there: %s", storageSnippet(name, place))
	}
	if !samePlace(st, place) {
		return st, withHint(fmt.Errorf("storage %s is not the library %s", name, place.text), "write one for it into the configuration: %s", storageSnippet("amanda", place))
	}
	return st, nil
}

// storageSnippet is a storage for a library that is only read.
func storageSnippet(name string, p mediaPlace) string {
	where := fmt.Sprintf("device: dir, path: %q", p.path)
	switch p.kind {
	case "s3":
		where = s3Snippet(p)
	case "rait":
		where = "device: rait, parity: 1, members: [{device: dir, path: DIR}, ...]"
	}
	return fmt.Sprintf(`storage: {%s: {%s, slots: N, volume-size: SIZE, label: "AMANDA-%%%%%%", no-reuse: true, select: [{tags: [never]}]}}`, name, where)
}

// s3Snippet names the volumes of a place as Amanda does; the server must still be told.
func s3Snippet(p mediaPlace) string {
	bucket, rest, _ := strings.Cut(p.path, "/")
	text := fmt.Sprintf("device: s3, s3: {bucket: %s, endpoint: URL", bucket)
	words, err := expand(p)
	if err == nil && len(words) > 1 {
		return text + fmt.Sprintf(", volumes: %q}", rest)
	}
	return text + fmt.Sprintf(", prefix: %q}", rest)
}

// samePlace tells whether a storage's library is the one at a place.
func samePlace(st configs.Storage, p mediaPlace) bool {
	switch {
	case p.kind == "dir" && st.Device == configs.DeviceDir:
		return sameDir(st.Path, p.path)
	case p.kind == "s3" && st.Device == configs.DeviceS3:
		return sameVolumes(st.S3, p)
	case p.kind == "rait" && st.Device == configs.DeviceRAIT:
		return slices.EqualFunc(st.Members, p.members, func(m configs.Member, p *mediaPlace) bool {
			return p == nil || samePlace(configs.Storage{Device: m.Device, Path: m.Path, S3: m.S3}, *p)
		})
	}
	return false
}

// sameVolumes tells whether a bucket's volumes are those of a place: its library, or the same volumes one by one.
func sameVolumes(b configs.S3, p mediaPlace) bool {
	words, err := expand(p)
	names, namesErr := b.VolumeNames()
	if err != nil || namesErr != nil {
		return false
	}
	at := b.Bucket + "/" + b.Prefix
	if names == nil || len(words) == 1 && words[0] == at {
		return len(words) == 1 && words[0] == at
	}
	return slices.EqualFunc(words, names, func(word, name string) bool { return word == at+name })
}

// sameDir tells whether two paths name one directory, links followed.
func sameDir(a, b string) bool {
	if a, err := filepath.EvalSymlinks(a); err == nil {
		if b, err := filepath.EvalSymlinks(b); err == nil {
			return a == b
		}
	}
	return filepath.Clean(a) == filepath.Clean(b)
}

// amandaLists reads what the call names of Amanda's own catalog.
func amandaLists(c *cli.Context) (amanda.Lists, error) {
	conf := c.String("amanda")
	p := amanda.Paths{Tapelist: c.String("tapelist"), LogDir: c.String("logs")}
	switch {
	case conf != "" && (p.Tapelist != "" || p.LogDir != ""):
		return amanda.Lists{}, usagef("either --amanda, or --tapelist and --logs")
	case conf != "":
		dir, err := filepath.Abs(conf)
		if err != nil {
			return amanda.Lists{}, err
		}
		p, err = amanda.ConfigPaths(vfs.OS(), dir)
		if err != nil {
			return amanda.Lists{}, withHint(err, "name its files with --tapelist and --logs")
		}
	case p.Tapelist == "" && p.LogDir == "":
		return amanda.Lists{}, nil
	case p.Tapelist == "" || p.LogDir == "":
		return amanda.Lists{}, usagef("--tapelist and --logs go together")
	}
	return amanda.ReadLists(vfs.OS(), p)
}

// readLibrary reads what lies in the library, without writing to it.
func (a *app) readLibrary(c *cli.Context, o nightly.Opener, p mediaPlace, st configs.Storage) (sqlstore.Contents, error) {
	place, err := a.openLibrary(c, o, p, st)
	if err != nil {
		return sqlstore.Contents{}, err
	}
	if place.Storage != "" && place.Storage != st.Name {
		return sqlstore.Contents{}, fmt.Errorf("%s: the library is that of storage %q, not of %q", p.text, place.Storage, st.Name)
	}
	place.Storage = st.Name
	bar := a.progressBar("read media")
	media, err := recovery.OpenMedia(c.Context, vfs.OS(), []recovery.Place{place}, bar.show)
	bar.end()
	if err != nil {
		return sqlstore.Contents{}, err
	}
	for _, damaged := range media.Damaged {
		a.say("note", fmt.Sprintf("left out: %v", damaged))
	}
	return media.Contents(), nil
}

// openLibrary opens the library to read. A bucket is spoken to as the storage's configuration says.
func (a *app) openLibrary(c *cli.Context, o nightly.Opener, p mediaPlace, st configs.Storage) (recovery.Place, error) {
	if p.kind != "s3" {
		return openPlace(c.Context, p, func(text string) { a.say("note", text) })
	}
	lib, err := o.OpenUnmarked(c.Context, st)
	return recovery.Place{Name: p.text, Shelf: lib}, err
}

func (a *app) tellAdopted(c *cli.Context, r amanda.Result) error {
	for word, list := range map[string][]string{"partial": r.Partial, "left out": r.LeftOut} {
		for _, text := range list {
			a.say("note", word+": "+text)
		}
	}
	for _, note := range r.Notes {
		a.say("note", note)
	}
	if c.Bool("json") {
		return a.printJSON(r)
	}
	if r.Volumes+r.Dumps+r.Copies == 0 {
		fmt.Fprintf(a.stdout, "storage %s: all of it is in the catalog already\n", r.Storage)
		return nil
	}
	fmt.Fprintf(a.stdout, "storage %s: adopted %d volumes, %d dumps in %d copies; no run overwrites them\n", r.Storage, r.Volumes, r.Dumps, r.Copies)
	return nil
}

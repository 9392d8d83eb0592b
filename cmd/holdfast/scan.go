package main

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"filippo.io/age"
	"github.com/urfave/cli/v2"

	"holdfast/catalog/sqlstore"
	"holdfast/configs"
	"holdfast/internal/vfs"
	nightly "holdfast/scheduler/run"
)

func (a *app) scanCommand() *cli.Command {
	return &cli.Command{
		Name: "scan", Usage: "look into every slot anew; or make a new catalog from nothing but the media", ArgsUsage: "[STORAGE]",
		Description: `Looks which volume is in which slot, and records it. Volumes that the catalog does not know, labels that are there twice,
what is no volume, and volumes that are in no slot are named. A removable library that is away keeps its volumes.

With --rebuild: reads the catalog records and the headers on all volumes of the configuration, and what is on the holding disk. What is
damaged, lost or not whole is named, and the rest goes on; the exit status is 1 then. Nothing is written to the media. An
old catalog is replaced only with --force, and kept beside the new one.

EXAMPLES
   holdfast volume scan
   holdfast volume scan --rebuild                        the catalog is lost
   holdfast volume scan --rebuild --into /tmp/new.sqlite leave the catalog alone and make another one
   holdfast volume scan --rebuild --maps -i key.txt      and the block maps, also of encrypted dumps`,
		Flags: []cli.Flag{
			jsonFlag(),
			&cli.BoolFlag{Name: "rebuild", Usage: "make the catalog anew"},
			&cli.StringFlag{Name: "into", Usage: "make the catalog in `FILE`; default: where the configuration has it"},
			&cli.BoolFlag{Name: "force", Usage: "put it in the place of a catalog that is not empty, which is kept beside it"},
			&cli.BoolFlag{Name: "read", Usage: "read all parts whose checksums no record has, to know them"},
			&cli.BoolFlag{Name: "maps", Usage: "make the block maps too that the next run needs, else it does when it needs them"},
			identityFlag(),
		},
		Action: a.scan,
	}
}

func (a *app) scan(c *cli.Context) error {
	rebuild := c.Bool("rebuild")
	switch {
	case rebuild && c.NArg() > 0:
		return usagef("volume scan --rebuild takes no names: %q", c.Args().First())
	case c.NArg() > 1:
		return usagef("volume scan takes one storage")
	case !rebuild && (c.String("into") != "" || c.Bool("force") || c.Bool("read") || c.Bool("maps")):
		return usagef("--into, --force, --read and --maps go with --rebuild")
	case !rebuild:
		return a.scanLibraries(c)
	case c.Bool("maps") && c.String("into") != "":
		return usagef("--maps goes with the catalog of the configuration, not with --into")
	}
	cfg, err := loadConfig(c)
	if err != nil {
		return err
	}
	ids, err := a.identities(c)
	if err != nil {
		return err
	}
	lock, err := takeLock(cfg.State)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	path, err := filepath.Abs(cmp.Or(c.String("into"), filepath.Join(cfg.State, catalogFile)))
	if err != nil {
		return err
	}
	n := &nightly.Night{Config: cfg, FS: vfs.OS(), Now: time.Now, Workers: workers()}
	bar := a.progressBar("volume scan")
	defer bar.end()
	r, err := n.Rebuild(c.Context, nightly.RebuildOptions{Path: path, Force: c.Bool("force"), Read: c.Bool("read"), Progress: bar.show})
	if errors.Is(err, nightly.ErrCatalogThere) {
		return withHint(err, "--force replaces it and keeps it under another name; --into FILE makes another one beside it")
	}
	if err != nil {
		return err
	}
	bar.end()
	a.tellRebuilt(path, r)
	if !c.Bool("maps") {
		return nil
	}
	return a.scanMaps(c, cfg, n, ids)
}

func (a *app) tellRebuilt(path string, r nightly.Rebuilt) {
	for _, err := range r.Notes {
		a.say("note", fmt.Sprintf("not looked into: %v", err))
	}
	for _, err := range r.Problems {
		a.say("note", err.Error())
		a.status = exitError
	}
	fmt.Fprintf(a.stdout, "read %d volumes with %d catalog records: %d dumps, %d copies on volumes, %d on the holding disk\n",
		r.Volumes, r.Records, r.Dumps, r.Copies, r.Held)
	fmt.Fprintf(a.stdout, "the new catalog is %s\n", path)
	if r.Backup != "" {
		fmt.Fprintf(a.stdout, "the old catalog is %s\n", r.Backup)
	}
}

// scanMaps makes the block maps by the new catalog.
func (a *app) scanMaps(c *cli.Context, cfg *configs.Config, n *nightly.Night, ids []age.Identity) error {
	store, err := sqlstore.Open(c.Context, filepath.Join(cfg.State, catalogFile), sqlstore.Options{})
	if err != nil {
		return err
	}
	defer store.Close() // only read from
	n.Store = store
	bar := a.progressBar("volume scan")
	defer bar.end()
	made, problems, err := n.RebuildMaps(c.Context, ids, bar.show)
	bar.end()
	for _, problem := range problems {
		a.say("note", problem.Error())
		a.status = exitError
	}
	fmt.Fprintf(a.stdout, "%d block maps made\n", made)
	return err
}

// catalogFile is the catalog's name in the state directory.
const catalogFile = "catalog.sqlite"

package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"holdfast/scheduler/amanda"
)

// amandaVolumeCommands are the commands that exchange volumes with Amanda.
func (a *app) amandaVolumeCommands() []*cli.Command {
	return []*cli.Command{
		{
			Name: "export-amanda", Usage: "write the catalog so that Amanda's commands find and read the dumps", ArgsUsage: "DIR",
			Description: `Writes below DIR, for each storage, a directory with amanda.conf, tapelist, logs and an empty disklist. Amanda's
commands that read work with it: amadmin find, amfetchdump, amcheckdump, amtape, amrestore. They want to own DIR and the vtapes. The
export shows the catalog as it is now: make it anew after each run that Amanda shall know of. docs/amanda.md has it step by step.

EXAMPLES
   holdfast volume export-amanda /var/lib/holdfast-amanda
   holdfast volume export-amanda --user amandabackup --json /var/lib/holdfast-amanda`,
			Flags: []cli.Flag{
				&cli.StringFlag{Name: "user", Usage: "`USER` that Amanda's commands run as", Value: "backup"}, jsonFlag(),
			},
			Action: a.exportAmanda,
		},
		a.adoptCommand(),
	}
}

// exported is the answer of volume export-amanda.
type exported struct {
	Dir      string            `json:"dir"`
	Storages []amanda.Exported `json:"storages"`
}

func (a *app) exportAmanda(c *cli.Context) error {
	if c.NArg() != 1 {
		return withHint(usagef("volume export-amanda wants one directory"), "holdfast volume export-amanda DIR")
	}
	dir, err := filepath.Abs(c.Args().First())
	if err != nil {
		return err
	}
	s, err := a.openSite(c, toRead)
	if err != nil {
		return err
	}
	defer s.close()
	e := amanda.Exporter{FS: s.FS, Config: s.Config, Store: s.Store, Host: s.Host, User: c.String("user")}
	storages, err := e.Export(c.Context, dir, s.Config.Storages())
	if errors.Is(err, amanda.ErrNotOurs) {
		return withHint(err, "name a directory that is new or empty, or one that an earlier export has made")
	}
	if err != nil {
		return err
	}
	for _, x := range storages {
		if x.Problem != "" {
			a.say("error", fmt.Sprintf("storage %s: %s", x.Storage, x.Problem))
			a.status = exitError
		}
		for _, note := range x.Notes {
			a.say("note", fmt.Sprintf("storage %s: %s", x.Storage, note))
		}
		for _, left := range x.LeftOut {
			a.say("note", fmt.Sprintf("storage %s: left out: %s", x.Storage, left))
		}
	}
	if c.Bool("json") {
		return a.printJSON(exported{Dir: dir, Storages: storages})
	}
	for _, x := range storages {
		if x.Problem == "" {
			fmt.Fprintf(a.stdout, "%s: %d volumes, %d dumps in %d parts, %d logs\n", x.Dir, x.Volumes, x.Dumps, x.Parts, x.Logs)
		}
	}
	return nil
}

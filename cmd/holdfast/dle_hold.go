package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"holdfast/catalog"
	"holdfast/catalog/sqlstore"
)

// holdCommands are those for single dumps that must stay.
func (a *app) holdCommands() []*cli.Command {
	run := func(usage string) cli.Flag { return &cli.StringFlag{Name: "run", Usage: usage} }
	return []*cli.Command{
		{
			Name: "hold", Usage: "keep a dump, and what it builds on, whatever retention says, until `dle release`", ArgsUsage: usageDLEs,
			Description: "EXAMPLES\n   holdfast dle hold web01 --reason \"case 12/345\"\n" +
				"   holdfast dle hold db01:data --run 20261121010000 --reason \"end of year\"",
			Flags:  []cli.Flag{run("the dump of the run of `STAMP`; the latest if not given"), &cli.StringFlag{Name: "reason", Usage: "why, for reports"}},
			Action: a.holdDumps,
		},
		{
			Name: "release", Usage: "take back what hold asked for", ArgsUsage: usageDLEs,
			Description: "EXAMPLES\n   holdfast dle release web01\n   holdfast dle release db01:data --run 20261121010000",
			Flags:       []cli.Flag{run("only the dump of the run of `STAMP`; all if not given")},
			Action:      a.releaseDumps,
		},
	}
}

func (a *app) holdDumps(c *cli.Context) error {
	if c.String("reason") == "" {
		return usagef("dle hold wants --reason TEXT: who finds the hold in years will ask")
	}
	return a.eachDLE(c, func(s *site, d catalog.DLE, stamp catalog.Stamp) error {
		dumps, err := s.Store.Dumps(c.Context, sqlstore.DumpFilter{DLE: &d, Stamp: stamp, Restorable: true})
		if err != nil {
			return err
		}
		if len(dumps) == 0 {
			err := fmt.Errorf("hold %s: there is no dump of it that can be restored", d)
			if stamp != "" {
				err = fmt.Errorf("hold %s: run %s has no dump of it that can be restored", d, stamp)
			}
			return withHint(err, "`holdfast dle history %s` lists its dumps", d)
		}
		latest := slices.MaxFunc(dumps, func(a, b catalog.Dump) int {
			return cmp.Or(cmp.Compare(a.Stamp, b.Stamp), cmp.Compare(a.Level, b.Level))
		})
		if err := s.Store.SetHold(c.Context, latest.ID, c.String("reason")); err != nil {
			return err
		}
		fmt.Fprintf(a.stdout, "%s, level %d of %s, is on hold: %s\n", d, latest.Level, latest.Stamp, c.String("reason"))
		return nil
	})
}

func (a *app) releaseDumps(c *cli.Context) error {
	return a.eachDLE(c, func(s *site, d catalog.DLE, stamp catalog.Stamp) error {
		dumps, err := s.Store.Dumps(c.Context, sqlstore.DumpFilter{DLE: &d, Stamp: stamp})
		if err != nil {
			return err
		}
		dumps = slices.DeleteFunc(dumps, func(d catalog.Dump) bool { return d.Hold == "" })
		if len(dumps) == 0 {
			fmt.Fprintf(a.stdout, "%s has no dump on hold\n", d)
		}
		for _, dump := range dumps {
			if err := s.Store.SetHold(c.Context, dump.ID, ""); err != nil {
				return err
			}
			fmt.Fprintf(a.stdout, "%s, level %d of %s, is on hold no more\n", d, dump.Level, dump.Stamp)
		}
		return nil
	})
}

// eachDLE does something for each DLE named, also for one that only the catalog knows, with the run of --run.
func (a *app) eachDLE(c *cli.Context, do func(s *site, d catalog.DLE, stamp catalog.Stamp) error) error {
	if c.NArg() == 0 {
		return usagef("%s wants at least one VM or VM:DISK", commandPath(c))
	}
	var stamp catalog.Stamp
	if text := c.String("run"); text != "" {
		var err error
		if stamp, err = catalog.ParseStamp(text); err != nil {
			return &usageError{err}
		}
	}
	s, err := a.openSite(c, toPlan)
	if err != nil {
		return err
	}
	defer s.close()
	dles, err := matchKnown(c, s, c.Args().Slice())
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range dles {
		errs = append(errs, do(s, d, stamp))
	}
	return errors.Join(errs...)
}

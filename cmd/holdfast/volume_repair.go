package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"holdfast/catalog"
	nightly "holdfast/scheduler/run"
	"holdfast/vtape"
)

func (a *app) repairCommand() *cli.Command {
	return &cli.Command{
		Name: "repair", Usage: "write members of a parity set anew that lack a volume, or some of it", ArgsUsage: "[LABEL]",
		Description: `For volumes that "volume list" shows as degraded, that "check" warns of, or on which "verify" found a member to be wrong. All
members are read, and what is right is left as it is; it may be interrupted and called again. Without --member those are
written that are known to lack something, and if none is, those that prove wrong when all is read. A member whose directory
is new needs its library first: "volume create" makes it.

EXAMPLES
   holdfast volume repair SET-003
   holdfast volume repair --all                            whatever is marked degraded
   holdfast volume repair SET-003 --member /mnt/disk2
   holdfast volume repair SET-003 --member /mnt/disk2 --overwrite     though it holds something else`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Usage: "all volumes marked degraded"},
			&cli.StringSliceFlag{Name: "member", Usage: "`NAME` of a member to write anew, as the configuration has it; may be given several times"},
			&cli.BoolFlag{Name: "overwrite", Usage: "also if the members named hold another volume, or something else"},
			jsonFlag(),
		},
		Action: a.repairVolumes,
	}
}

// repairs is the answer of volume repair.
type repairs struct {
	Volumes []nightly.Repaired `json:"volumes"`
}

func (a *app) repairVolumes(c *cli.Context) error {
	all := c.Bool("all")
	switch {
	case all && (c.NArg() > 0 || len(c.StringSlice("member")) > 0):
		return usagef("volume repair --all takes no label and no member")
	case !all && c.NArg() != 1:
		return withHint(usagef("volume repair wants one label"), "--all repairs what is marked degraded")
	case c.Bool("overwrite") && len(c.StringSlice("member")) == 0:
		return usagef("--overwrite is for members named with --member")
	}
	s, err := a.openSite(c, toWork)
	if err != nil {
		return err
	}
	defer s.close()
	labels := []catalog.Label{catalog.Label(c.Args().First())}
	if all {
		if labels, err = s.DegradedVolumes(c.Context); err != nil {
			return err
		}
	} else if _, _, err := a.namedVolume(c, s); err != nil {
		return err
	}
	done := repairs{Volumes: []nightly.Repaired{}}
	var faults error
	for _, label := range labels {
		r, err := a.repairVolume(c, s, label)
		if c.Context.Err() != nil {
			return c.Context.Err()
		}
		faults = errors.Join(faults, err)
		if err == nil {
			done.Volumes = append(done.Volumes, r)
		}
	}
	if c.Bool("json") {
		return errors.Join(a.printJSON(done), faults)
	}
	if faults == nil || len(done.Volumes) > 0 {
		a.printRepairs(done)
	}
	return faults
}

func (a *app) repairVolume(c *cli.Context, s *site, label catalog.Label) (nightly.Repaired, error) {
	bar := a.progressBar("repair " + string(label))
	defer bar.end()
	r, err := s.Repair(c.Context, nightly.RepairOptions{
		Label: label, Members: c.StringSlice("member"), Overwrite: c.Bool("overwrite"),
		Progress: func(p nightly.RepairProgress) {
			bar.show(fmt.Sprintf("member %s, %d of %d files", p.Member, p.Done, p.Files))
		},
	})
	switch {
	case errors.Is(err, nightly.ErrNoSet), errors.Is(err, nightly.ErrWhole):
		return r, withHint(err, "`holdfast verify` reads the dumps and tells what is damaged")
	case errors.Is(err, vtape.ErrAbsent):
		return r, withHint(err, "mount the member; if it is a new one, `holdfast volume create` makes its library")
	case errors.Is(err, vtape.ErrForeign):
		return r, withHint(err, "--member NAME --overwrite writes over what the member holds")
	}
	return r, err
}

func (a *app) printRepairs(done repairs) {
	if len(done.Volumes) == 0 {
		fmt.Fprintln(a.stdout, "no volume was repaired")
	}
	for _, r := range done.Volumes {
		fmt.Fprintf(a.stdout, "volume %s: %s written anew: %d files compared, %d written\n", r.Label, strings.Join(r.Members, ", "), r.Checked, r.Written)
		if len(r.Degraded) > 0 {
			fmt.Fprintf(a.stdout, "  still degraded: %s\n", strings.Join(r.Degraded, ", "))
		}
	}
}

// degradedText names the members that do not hold all of a volume; empty when all do.
func degradedText(v catalog.Volume) string {
	if len(v.Degraded) == 0 {
		return ""
	}
	return "degraded: " + strings.Join(v.Degraded, ", ")
}

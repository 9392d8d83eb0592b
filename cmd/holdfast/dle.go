package main

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"holdfast/catalog"
	"holdfast/catalog/sqlstore"
	"holdfast/configs"
	"holdfast/reports"
)

func (a *app) dleCommand() *cli.Command {
	force := []cli.Flag{
		&cli.BoolFlag{Name: "level-1", Usage: "a level 1 instead of a full"},
		&cli.BoolFlag{Name: "bump", Usage: "the next higher level"},
		&cli.BoolFlag{Name: "no-bump", Usage: "the level it has now"},
	}
	return &cli.Command{
		Name: "dle", Usage: "the disk list: one entry for each disk of each VM",
		Description: "EXAMPLES\n   holdfast dle list\n   holdfast dle history web01\n   holdfast dle force web01",
		Action:      a.group,
		Subcommands: append([]*cli.Command{
			{
				Name: "list", Usage: "all entries with their latest dumps",
				Description: "EXAMPLES\n   holdfast dle list",
				Flags:       []cli.Flag{jsonFlag()}, Action: a.listDLEs,
			},
			{
				Name: "history", Usage: "the dumps of an entry, and where they are", ArgsUsage: usageAnyDLEs,
				Description: "EXAMPLES\n   holdfast dle history\n   holdfast dle history web01 db01:data",
				Flags:       []cli.Flag{jsonFlag()}, Action: a.dleHistory,
			},
			{
				Name: "due", Usage: "when each entry's next full is due, and for which run it is planned",
				Description: "The answer is that of plan: what is planned for tonight stands there.\n\nEXAMPLES\n   holdfast dle due",
				Flags:       []cli.Flag{nowFlag(), jsonFlag()}, Action: a.dleDue,
			},
			{
				Name: "balance", Usage: "what the coming runs carry",
				Description: "EXAMPLES\n   holdfast dle balance",
				Flags:       []cli.Flag{nowFlag(), jsonFlag()}, Action: a.dleBalance,
			},
			{
				Name: "force", Usage: "ask for a full in the next run, until it is made", ArgsUsage: usageDLEs,
				Description: "EXAMPLES\n   holdfast dle force web01\n   holdfast dle force --no-bump web01 db01:data",
				Flags:       force, Action: a.forceDLE,
			},
			{
				Name: "unforce", Usage: "take back what force asked for", ArgsUsage: usageDLEs,
				Description: "EXAMPLES\n   holdfast dle unforce web01",
				Action:      a.unforceDLE,
			},
		}, a.holdCommands()...),
	}
}

// dleRow is one entry of dle list.
type dleRow struct {
	VM     string            `json:"vm"`
	Disk   string            `json:"disk"`
	Image  string            `json:"image"`
	Type   string            `json:"type"`
	Base   string            `json:"base,omitempty"`
	Forced catalog.ForceKind `json:"forced,omitempty"`
	// Full and Latest are the runs of the latest full and of the latest dump; Level is that of the latest.
	Full   catalog.Stamp `json:"full,omitempty"`
	Latest catalog.Stamp `json:"latest,omitempty"`
	Level  catalog.Level `json:"level"`
}

func (a *app) listDLEs(c *cli.Context) error {
	s, err := a.openSite(c, toPlan)
	if err != nil {
		return err
	}
	defer s.close()
	forces, err := s.Store.Forces(c.Context)
	if err != nil {
		return err
	}
	dumps, err := s.Store.Dumps(c.Context, sqlstore.DumpFilter{Usable: true})
	if err != nil {
		return err
	}
	rows := []dleRow{}
	for _, d := range s.Config.DLEs {
		rows = append(rows, rowOf(d, forces, dumps))
	}
	if c.Bool("json") {
		return a.printJSON(rows)
	}
	return dleTable(rows).Write(a.stdout)
}

func rowOf(d configs.DLE, forces []catalog.Force, dumps []catalog.Dump) dleRow {
	row := dleRow{VM: d.VM, Disk: d.Disk, Image: d.Image, Type: d.Type, Base: d.BaseName}
	for _, f := range forces {
		if f.DLE == d.Name() {
			row.Forced = f.Command
		}
	}
	for _, dump := range dumps { // oldest first
		if dump.DLE != d.Name() {
			continue
		}
		row.Latest, row.Level = dump.Stamp, dump.Level
		if dump.Level == 0 {
			row.Full = dump.Stamp
		}
	}
	return row
}

func dleTable(rows []dleRow) reports.Table {
	t := reports.Table{
		Header: []string{"VM", "DISK", "LAST FULL", "LAST DUMP", "LEVEL", "FORCED", "BASE", "IMAGE"},
		Right:  []bool{false, false, false, false, true},
	}
	for _, r := range rows {
		level := "-"
		if r.Latest != "" {
			level = fmt.Sprint(r.Level)
		}
		t.Rows = append(t.Rows, []string{
			r.VM, r.Disk, orDash(string(r.Full)), orDash(string(r.Latest)), level, orDash(string(r.Forced)), orDash(r.Base), r.Image,
		})
	}
	return t
}

func orDash(s string) string { return cmp.Or(s, "-") }

func (a *app) dleHistory(c *cli.Context) error {
	s, err := a.openSite(c, toRead)
	if err != nil {
		return err
	}
	defer s.close()
	dles, err := matchKnown(c, s, c.Args().Slice())
	if err != nil {
		return err
	}
	dumps, err := s.Store.Dumps(c.Context, sqlstore.DumpFilter{})
	if err != nil {
		return err
	}
	dumps = slices.DeleteFunc(dumps, func(d catalog.Dump) bool { return len(dles) > 0 && !slices.Contains(dles, d.DLE) })
	copies := map[catalog.DumpID][]catalog.Copy{}
	all, err := s.Store.AllCopies(c.Context)
	if err != nil {
		return err
	}
	for _, copy := range all {
		copies[copy.Dump] = append(copies[copy.Dump], copy)
	}
	if !c.Bool("json") {
		return reports.HistoryText(a.stdout, dumps, copies)
	}
	type row struct {
		catalog.Dump
		Copies []catalog.Copy `json:"copies"`
	}
	rows := []row{}
	for _, d := range dumps {
		rows = append(rows, row{d, append([]catalog.Copy{}, copies[d.ID]...)})
	}
	return a.printJSON(rows)
}

func (a *app) forceDLE(c *cli.Context) error {
	kind, word := catalog.ForceFull, "a full"
	for _, f := range []struct {
		flag string
		kind catalog.ForceKind
		word string
	}{
		{"level-1", catalog.ForceLevel1, "a level 1"}, {"bump", catalog.ForceBump, "the next higher level"},
		{"no-bump", catalog.ForceNoBump, "its present level"},
	} {
		if !c.Bool(f.flag) {
			continue
		}
		if kind != catalog.ForceFull {
			return usagef("--level-1, --bump and --no-bump exclude one another")
		}
		kind, word = f.kind, f.word
	}
	return a.eachNamed(c, func(s *site, d catalog.DLE) error {
		fmt.Fprintf(a.stdout, "%s gets %s in the next run\n", d, word)
		return s.Store.SetForce(c.Context, catalog.Force{DLE: d, Command: kind, Set: s.Now()})
	})
}

func (a *app) unforceDLE(c *cli.Context) error {
	return a.eachNamed(c, func(s *site, d catalog.DLE) error {
		fmt.Fprintf(a.stdout, "%s is planned as usual again\n", d)
		return s.Store.ClearForce(c.Context, d)
	})
}

// eachNamed does something for each DLE named; at least one must be.
func (a *app) eachNamed(c *cli.Context, do func(s *site, d catalog.DLE) error) error {
	if c.NArg() == 0 {
		return usagef("%s wants at least one VM or VM:DISK", commandPath(c))
	}
	s, err := a.openSite(c, toPlan)
	if err != nil {
		return err
	}
	defer s.close()
	dles, err := matchDLEs(s.Config, c.Args().Slice())
	if err != nil {
		return err
	}
	for _, d := range dles {
		if err := do(s, d); err != nil {
			return err
		}
	}
	return nil
}

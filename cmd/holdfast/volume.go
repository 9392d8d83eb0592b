package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"holdfast/catalog"
	"holdfast/reports"
	"holdfast/scheduler/retention"
)

func (a *app) volumeCommand() *cli.Command {
	return &cli.Command{
		Name: "volume", Usage: "vtapes: what they hold, which may be overwritten",
		Description: "EXAMPLES\n   holdfast volume list\n   holdfast volume show DEMO-003\n   holdfast volume label 4\n   holdfast volume retire DEMO-003",
		Action:      a.group,
		Subcommands: slices.Concat(a.slotCommands(), []*cli.Command{
			{
				Name: "show", Usage: "what is on a volume", ArgsUsage: usageLabel,
				Description: "EXAMPLES\n   holdfast volume show DEMO-003",
				Flags:       []cli.Flag{jsonFlag()}, Action: a.showVolume,
			},
			a.scanCommand(),
		}, a.markCommands(), []*cli.Command{a.repairCommand()}, a.amandaVolumeCommands()),
	}
}

// volumeRow is a volume as volume list and volume show tell of it.
type volumeRow struct {
	catalog.Volume
	// Kept is the weightiest reason; Verdict has all.
	Kept    string            `json:"kept,omitempty"`
	Verdict retention.Verdict `json:"verdict"`
}

func rowOfVolume(v catalog.Volume, verdicts retention.Verdicts) volumeRow {
	row := volumeRow{Volume: v}
	row.Verdict, _ = verdicts.Of(v.Label)
	if len(row.Verdict.Reasons) > 0 {
		row.Kept = row.Verdict.Reasons[0].Text
	}
	return row
}

// volumeContents is the answer of volume show.
type volumeContents struct {
	volumeRow
	Parts []catalog.Part `json:"parts"`
}

func (a *app) showVolume(c *cli.Context) error {
	if err := oneLabel(c); err != nil {
		return err
	}
	s, err := a.openSite(c, toRead)
	if err != nil {
		return err
	}
	defer s.close()
	v, verdicts, err := a.namedVolume(c, s)
	if err != nil {
		return err
	}
	parts, err := s.Store.PartsOn(c.Context, v.Label)
	if err != nil {
		return err
	}
	contents := volumeContents{rowOfVolume(v, verdicts), append([]catalog.Part{}, parts...)}
	if c.Bool("json") {
		return a.printJSON(contents)
	}
	return printContents(a.stdout, contents, s.Now().Location())
}

func printContents(w io.Writer, v volumeContents, loc *time.Location) error {
	written := "never"
	if v.WriteStamp != "" {
		written = string(v.WriteStamp)
	}
	fmt.Fprintf(w, "volume %s of storage %s, slot %s, written %s, %d bytes in %d files\n%s\n",
		v.Label, v.Storage, cmp.Or(v.Slot, "-"), written, v.Bytes, v.Files, verdictText(v.Verdict, loc))
	printReasons(w, v.Verdict, loc)
	if text := degradedText(v.Volume); text != "" {
		fmt.Fprintf(w, "%s\n", text)
	}
	fmt.Fprintln(w)
	t := reports.Table{Header: []string{"FILE", "DUMP", "PART", "BYTES"}, Right: []bool{true, false, true, true}}
	for _, p := range v.Parts {
		t.Rows = append(t.Rows, []string{fmt.Sprint(p.File), string(p.Dump), fmt.Sprint(p.Number), fmt.Sprint(p.Bytes)})
	}
	return t.Write(w)
}

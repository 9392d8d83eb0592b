package main

import (
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"holdfast/catalog"
	"holdfast/reports"
)

func (a *app) volumeCommand() *cli.Command {
	return &cli.Command{
		Name: "volume", Usage: "vtapes: what they hold, which may be overwritten",
		Description: "EXAMPLES\n   holdfast volume list\n   holdfast volume show DEMO-003\n   holdfast volume label 4",
		Action:      a.group,
		Subcommands: append(a.slotCommands(),
			&cli.Command{
				Name: "show", Usage: "what is on a volume", ArgsUsage: usageLabel,
				Description: "EXAMPLES\n   holdfast volume show DEMO-003",
				Flags:       []cli.Flag{jsonFlag()}, Action: a.showVolume,
			},
			a.scanCommand(),
		),
	}
}

// volumeContents is the answer of volume show.
type volumeContents struct {
	catalog.Volume
	Kept  string         `json:"kept,omitempty"`
	Parts []catalog.Part `json:"parts"`
}

func (a *app) showVolume(c *cli.Context) error {
	if c.NArg() != 1 {
		return usagef("volume show wants one label")
	}
	s, err := a.openSite(c, toRead)
	if err != nil {
		return err
	}
	defer s.close()
	volumes, err := s.Store.Volumes(c.Context, "")
	if err != nil {
		return err
	}
	var labels []string
	label := catalog.Label(c.Args().First())
	for _, v := range volumes {
		labels = append(labels, string(v.Label))
		if v.Label != label {
			continue
		}
		parts, err := s.Store.PartsOn(c.Context, label)
		if err != nil {
			return err
		}
		keep, err := s.Kept(c.Context, v.Storage)
		if err != nil {
			return err
		}
		contents := volumeContents{Volume: v, Kept: keep[label], Parts: append([]catalog.Part{}, parts...)}
		if c.Bool("json") {
			return a.printJSON(contents)
		}
		return printContents(a.stdout, contents)
	}
	return didYouMean(fmt.Errorf("no volume %q in the catalog", label), string(label), labels, "")
}

func printContents(w io.Writer, v volumeContents) error {
	written := "never"
	if v.WriteStamp != "" {
		written = string(v.WriteStamp)
	}
	verdict := "may be overwritten"
	if v.Kept != "" {
		verdict = "is kept: " + v.Kept
	}
	fmt.Fprintf(w, "volume %s of storage %s, slot %s, written %s, %d bytes in %d files\n%s\n\n",
		v.Label, v.Storage, v.Slot, written, v.Bytes, v.Files, verdict)
	t := reports.Table{Header: []string{"FILE", "DUMP", "PART", "BYTES"}, Right: []bool{true, false, true, true}}
	for _, p := range v.Parts {
		t.Rows = append(t.Rows, []string{fmt.Sprint(p.File), string(p.Dump), fmt.Sprint(p.Number), fmt.Sprint(p.Bytes)})
	}
	return t.Write(w)
}

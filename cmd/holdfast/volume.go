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
		Subcommands: append([]*cli.Command{
			{
				Name: "list", Usage: "all volumes, and why each may or may not be overwritten",
				Description: "EXAMPLES\n   holdfast volume list",
				Flags:       []cli.Flag{jsonFlag()}, Action: a.listVolumes,
			},
			{
				Name: "show", Usage: "what is on a volume", ArgsUsage: usageLabel,
				Description: "EXAMPLES\n   holdfast volume show DEMO-003",
				Flags:       []cli.Flag{jsonFlag()}, Action: a.showVolume,
			},
			{
				Name: "create", Usage: "make the vtapes that the configuration names, as far as they are not there",
				Description: `For a library in another place, or with more slots than before. Nothing that is there is changed. Mount the file
system first: a library made on its mount point would hide below it.

EXAMPLES
   holdfast volume create`,
				Action: a.createVolumes,
			},
			{
				Name: "label", Usage: "label a blank slot now, instead of when it is first written", ArgsUsage: "SLOT [LABEL]",
				Description: `Only a blank slot is labelled: nothing that is there is ever overwritten by this.

EXAMPLES
   holdfast volume label 4             with the next label
   holdfast volume label 4 DEMO-004`,
				Action: a.labelVolume,
			},
			a.scanCommand(),
		}, a.amandaVolumeCommands()...),
	}
}

func (a *app) listVolumes(c *cli.Context) error {
	s, err := a.openSite(c, toRead)
	if err != nil {
		return err
	}
	defer s.close()
	keep, volumes, err := s.Verdicts(c.Context, "")
	if err != nil {
		return err
	}
	if c.Bool("json") {
		type row struct {
			catalog.Volume
			Kept string `json:"kept,omitempty"`
		}
		rows := []row{}
		for _, v := range volumes {
			rows = append(rows, row{v, keep[v.Label]})
		}
		return a.printJSON(rows)
	}
	return reports.VolumesText(a.stdout, volumes, keep)
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
	keep, volumes, err := s.Verdicts(c.Context, "")
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

// createVolumes makes what the library lacks: slots, and the mark that tells it from an empty mount point.
func (a *app) createVolumes(c *cli.Context) error {
	if c.NArg() > 0 {
		return usagef("volume create takes no names: %q", c.Args().First())
	}
	s, err := a.openSite(c, toWork)
	if err != nil {
		return err
	}
	defer s.close()
	st := s.Config.MainStorage()
	if err := s.Opener().Create(c.Context, st); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "%d vtapes are in %s\n", st.Slots, st.Path)
	return nil
}

func (a *app) labelVolume(c *cli.Context) error {
	slot, label := c.Args().Get(0), catalog.Label(c.Args().Get(1))
	if slot == "" || c.NArg() > 2 {
		return usagef("volume label wants a slot, and a label if not the next one")
	}
	s, err := a.openSite(c, toWork)
	if err != nil {
		return err
	}
	defer s.close()
	written, err := s.LabelBlank(c.Context, slot, label)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "labelled slot %s as %s\n", slot, written)
	return nil
}

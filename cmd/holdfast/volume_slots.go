package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"holdfast/catalog"
	"holdfast/configs"
	"holdfast/reports"
	nightly "holdfast/scheduler/run"
	"holdfast/vtape"
)

// slotCommands are the sub-commands of volume that look at libraries and label what is in them.
func (a *app) slotCommands() []*cli.Command {
	return []*cli.Command{
		{
			Name: "list", Usage: "all volumes, and why each may or may not be overwritten", ArgsUsage: "[STORAGE]",
			Description: `As the catalog knows them. A volume is absent when it was in no slot at the last look, or when its library is away.

EXAMPLES
   holdfast volume list
   holdfast volume list offsite`,
			Flags: []cli.Flag{jsonFlag()}, Action: a.listVolumes,
		},
		{
			Name: "create", Usage: "make the libraries that the configuration names, as far as they are not there", ArgsUsage: "[STORAGE]",
			Description: `For a library in another place, or with more slots than before. Nothing that is there is changed. Mount the file
system first: a library made on its mount point would hide below it. The library of a removable storage is made only when
the storage is named.

EXAMPLES
   holdfast volume create
   holdfast volume create rotated      with its disk mounted`,
			Action: a.createVolumes,
		},
		{
			Name: "load", Usage: "find a volume, and make it the current one of its library", ArgsUsage: usageLabel,
			Description: `In a directory the link "data" then leads to it, which Amanda's device file:DIRECTORY follows.

EXAMPLES
   holdfast volume load DEMO-003`,
			Action: a.loadVolume,
		},
		{
			Name: "label", Usage: "label a blank slot now, instead of when it is first written", ArgsUsage: "[STORAGE] SLOT [LABEL]",
			Description: `Only a blank slot is labelled, unless --force is given and what is there is typed when asked for: the label of the volume,
or STORAGE/SLOT for what is no volume. What is on it is lost then, and its label is never used again. A volume that must be
kept, or is marked no-reuse, is refused even so; "volume retire" comes first.

EXAMPLES
   holdfast volume label 4             with the next label
   holdfast volume label 4 DEMO-004
   holdfast volume label offsite 4     in another storage than the first
   holdfast volume label 4 --force --confirm OLD-17`,
			Flags: []cli.Flag{
				&cli.BoolFlag{Name: "force", Usage: "overwrite what is in the slot"},
				&cli.StringFlag{Name: "confirm", Usage: "`NAME` of what is in the slot, for programs, instead of the question"},
			},
			Action: a.labelVolume,
		},
	}
}

// storageArg gives the storage of this name, or all in the order of the configuration when there is no name.
func storageArg(cfg *configs.Config, name string) ([]configs.Storage, error) {
	if name == "" {
		return cfg.Storages(), nil
	}
	if st, ok := cfg.Storage[name]; ok {
		return []configs.Storage{st}, nil
	}
	var names []string
	for _, st := range cfg.Storages() {
		names = append(names, st.Name)
	}
	return nil, didYouMean(fmt.Errorf("no storage %q in the configuration", name), name, names, "")
}

// listed is a volume with what there is to say of it.
type listed struct {
	volumeRow
	// Away says why its library cannot be reached.
	Away string `json:"away,omitempty"`
}

func (a *app) listVolumes(c *cli.Context) error {
	if c.NArg() > 1 {
		return usagef("volume list takes one storage")
	}
	s, err := a.openSite(c, toRead)
	if err != nil {
		return err
	}
	defer s.close()
	storages, err := storageArg(s.Config, c.Args().First())
	if err != nil {
		return err
	}
	away := s.Away(c.Context)
	verdicts, _, err := s.Judge(c.Context, "")
	if err != nil {
		return err
	}
	rows := []listed{}
	words := map[catalog.Label]string{}
	var volumes []catalog.Volume
	for _, st := range storages {
		of, err := s.Store.Volumes(c.Context, st.Name)
		if err != nil {
			return err
		}
		for _, v := range of {
			row := listed{volumeRow: rowOfVolume(v, verdicts)}
			if away[st.Name] != nil {
				row.Away, v.Slot = away[st.Name].Error(), ""
			}
			rows, volumes = append(rows, row), append(volumes, v)
			words[v.Label] = strings.TrimPrefix(degradedText(v)+"; ", "; ") + verdictText(row.Verdict, s.Now().Location())
		}
	}
	if c.Bool("json") {
		return a.printJSON(rows)
	}
	for _, st := range storages {
		if away[st.Name] != nil {
			a.say("note", fmt.Sprintf("storage %s is away: %v", st.Name, away[st.Name]))
		}
	}
	return reports.VolumesText(a.stdout, volumes, words)
}

// scanLibraries looks into every slot anew.
func (a *app) scanLibraries(c *cli.Context) error {
	s, err := a.openSite(c, toWork)
	if err != nil {
		return err
	}
	defer s.close()
	storages, err := storageArg(s.Config, c.Args().First())
	if err != nil {
		return err
	}
	looks := []nightly.SlotLook{}
	var faults error
	for _, st := range storages {
		found, err := s.Look(c.Context, st)
		switch {
		case err != nil && st.Removable && errors.Is(err, vtape.ErrAbsent):
			a.say("note", fmt.Sprintf("storage %s is away: %v", st.Name, err))
		case err != nil:
			faults = errors.Join(faults, fmt.Errorf("storage %s: %w", st.Name, err))
		}
		looks = append(looks, found...)
	}
	if c.Bool("json") {
		return errors.Join(a.printJSON(looks), faults)
	}
	t := reports.Table{Header: []string{"STORAGE", "SLOT", "STATE", "LABEL", "WRITTEN", "SIZE", "REMARK"}, Right: []bool{false, true, false, false, false, true, false}}
	for _, l := range looks {
		size := ""
		if l.Bytes > 0 {
			size = humanize.IBytes(uint64(l.Bytes))
		}
		t.Rows = append(t.Rows, []string{l.Storage, cmp.Or(l.Slot, "none"), string(l.State), string(l.Label), string(l.Stamp), size, l.Text})
	}
	return errors.Join(t.Write(a.stdout), faults)
}

func (a *app) loadVolume(c *cli.Context) error {
	if c.NArg() != 1 {
		return usagef("volume load wants one label")
	}
	s, err := a.openSite(c, toWork)
	if err != nil {
		return err
	}
	defer s.close()
	label := catalog.Label(c.Args().First())
	storage, slot, err := s.LoadVolume(c.Context, label)
	if errors.Is(err, vtape.ErrAbsent) {
		if v, unknown := s.Store.Volume(c.Context, label); unknown == nil {
			return withHint(err, "the catalog knows it as a volume of storage %s, last seen %s", v.Storage, v.Seen.Format("2006-01-02"))
		}
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "volume %s is in storage %s, slot %s\n", label, storage, slot)
	return nil
}

// createVolumes makes what the libraries lack: slots, and the mark that tells one from an empty mount point.
func (a *app) createVolumes(c *cli.Context) error {
	if c.NArg() > 1 {
		return usagef("volume create takes one storage")
	}
	s, err := a.openSite(c, toWork)
	if err != nil {
		return err
	}
	defer s.close()
	name := c.Args().First()
	storages, err := storageArg(s.Config, name)
	if err != nil {
		return err
	}
	for _, st := range storages {
		if st.Removable && name == "" {
			a.say("note", fmt.Sprintf("storage %s is removable: mount it and name it to have its library made", st.Name))
			continue
		}
		if err := s.Opener().Create(c.Context, st); err != nil {
			return err
		}
		fmt.Fprintf(a.stdout, "%d vtapes are in %s\n", st.Slots, placeOf(st))
	}
	return nil
}

// placeOf says in a word or two where a storage is.
func placeOf(st configs.Storage) string {
	switch st.Device {
	case configs.DeviceS3:
		return "s3:" + st.S3.Bucket + "/" + st.S3.Prefix
	case configs.DeviceRAIT:
		return fmt.Sprintf("storage %s, over %d members", st.Name, len(st.Members))
	}
	return st.Path
}

func (a *app) labelVolume(c *cli.Context) error {
	args := c.Args().Slice()
	if len(args) < 1 || len(args) > 3 {
		return usagef("volume label wants a slot, and a label if not the next one")
	}
	s, err := a.openSite(c, toWork)
	if err != nil {
		return err
	}
	defer s.close()
	o := nightly.LabelOptions{Storage: s.Config.MainStorage(), Force: c.Bool("force"), Confirm: c.String("confirm")}
	if len(args) > 1 {
		if st, ok := s.Config.Storage[args[0]]; ok {
			o.Storage, args = st, args[1:]
		}
	}
	if len(args) > 2 {
		return usagef("volume label: no storage %q in the configuration", c.Args().First())
	}
	o.Slot = args[0]
	if len(args) == 2 {
		o.Label = catalog.Label(args[1])
	}
	if o.Force && o.Confirm == "" {
		if o.Confirm, err = a.confirm(c, s, o); err != nil {
			return err
		}
	}
	written, err := s.LabelSlot(c.Context, o)
	switch {
	case errors.Is(err, nightly.ErrNotConfirmed):
		return withHint(err, "nothing was changed; type the name as it stands there, or give it with --confirm")
	case errors.Is(err, nightly.ErrNotBlank):
		return withHint(err, "--force overwrites it; `holdfast volume show` tells what is on it")
	case err != nil:
		return err
	}
	fmt.Fprintf(a.stdout, "labelled slot %s as %s\n", o.Slot, written)
	return nil
}

// maxAnswer bounds what is read as an answer to a question.
const maxAnswer = 4096

// confirm asks for the name of what would be overwritten.
func (a *app) confirm(c *cli.Context, s *site, o nightly.LabelOptions) (string, error) {
	name, err := s.ContentOf(c.Context, o.Storage, o.Slot)
	if err != nil || name == "" {
		return "", err
	}
	fmt.Fprintf(a.stderr, "slot %s of storage %s holds %s, and all that is on it will be lost. Type its name to go on: ", o.Slot, o.Storage.Name, name)
	answer, err := bufio.NewReader(io.LimitReader(a.stdin, maxAnswer)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the answer: %w", err)
	}
	return strings.TrimSpace(answer), nil
}

package main

import (
	"errors"
	"fmt"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"holdfast/catalog"
	"holdfast/configs"
	"holdfast/reports"
	nightly "holdfast/scheduler/run"
)

func (a *app) vaultCommand() *cli.Command {
	return &cli.Command{
		Name: "vault", Usage: "copy dumps to vaults", ArgsUsage: usageVaults,
		Description: `Every run copies what is due at its end; this does it at once, for the vaults named or all of them. With --dles, --run
or --dumps it copies the dumps of the catalog that match, also those from before there was a vault, and nothing else. What a clone
builds on goes with it. Nothing is copied to a vault twice. The exit status is that of run.

EXAMPLES
   holdfast vault                              what is due
   holdfast vault --dry-run --now              what would be copied, due or not, from where to where
   holdfast vault offsite --now                what is not due yet, too, to one vault
   holdfast vault offsite --dles web01 --dumps latest-full
   holdfast vault --run 20261121010000 --dumps all`,
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "dles", Usage: "only dumps of this `VM` or VM:DISK; may be given several times"},
			&cli.StringFlag{Name: "run", Usage: "only dumps of the run with this `STAMP`"},
			&cli.StringFlag{Name: "dumps", Usage: "`WHICH`: all, full, latest-full or incremental, whatever the vault takes otherwise"},
			&cli.BoolFlag{Name: "now", Usage: "also what is not due yet"},
			&cli.BoolFlag{Name: "dry-run", Usage: "show what would be copied and do nothing"},
			jsonFlag(),
		},
		Action: func(c *cli.Context) error {
			how := toWork
			if c.Bool("dry-run") {
				how = toPlan
			}
			s, err := a.openSite(c, how)
			if err != nil {
				return err
			}
			defer s.close()
			o, err := vaultOptions(c, s)
			if err != nil {
				return err
			}
			return a.vault(c, s, o)
		},
	}
}

// vaultOptions reads the flags and names of vault.
func vaultOptions(c *cli.Context, s *site) (nightly.VaultOptions, error) {
	o := nightly.VaultOptions{Now: c.Bool("now")}
	for _, name := range c.Args().Slice() {
		found, err := storageArg(s.Config, name)
		if err != nil {
			return o, err
		}
		if !found[0].Vault.On() {
			return o, withHint(usagef("storage %s is no vault", name), "a vault has `vault:` in the configuration")
		}
		o.Storages = append(o.Storages, name)
	}
	if word := c.String("dumps"); word != "" {
		if err := o.Dumps.UnmarshalText([]byte(word)); err != nil {
			return o, usagef("--dumps: %v", err)
		}
	}
	if text := c.String("run"); text != "" {
		var err error
		if o.Run, err = catalog.ParseStamp(text); err != nil {
			return o, &usageError{err}
		}
	}
	if len(vaultNames(s.Config)) == 0 {
		return o, withHint(errors.New("there is no vault in the configuration"), "`vault:` makes a storage one; docs/vaulting.md tells how")
	}
	var err error
	o.DLEs, err = matchKnown(c, s, c.StringSlice("dles"))
	return o, err
}

func vaultNames(cfg *configs.Config) []string {
	var names []string
	for _, st := range cfg.Storages() {
		if st.Vault.On() {
			names = append(names, st.Name)
		}
	}
	return names
}

// vault shows what is to be copied, or copies it.
func (a *app) vault(c *cli.Context, s *site, o nightly.VaultOptions) error {
	p, err := s.PlanVault(c.Context, o)
	if err != nil {
		return err
	}
	if c.Bool("dry-run") {
		return a.showVault(c, p)
	}
	a.warn(s.Config)
	if p.Empty() {
		// A run that does nothing would only hide the last one from report and status.
		fmt.Fprintln(a.stderr, "nothing is to be copied")
		return nil
	}
	return a.work(c, s, nightly.Options{Command: nightly.CommandVault, Vault: o})
}

// vaultRow is a copy that would be made, as JSON.
type vaultRow struct {
	Dump  catalog.DumpID `json:"dump"`
	DLE   catalog.DLE    `json:"dle"`
	Level catalog.Level  `json:"level"`
	Stamp catalog.Stamp  `json:"stamp"`
	Bytes int64          `json:"bytes"`
	From  string         `json:"from"`
	Label catalog.Label  `json:"label,omitempty"`
	To    string         `json:"to"`
	Base  bool           `json:"base,omitempty"`
}

// vaultAnswer is the answer of vault --dry-run as JSON.
type vaultAnswer struct {
	Copies     []vaultRow       `json:"copies"`
	Superseded []catalog.Wanted `json:"superseded,omitempty"`
	Gone       []catalog.Wanted `json:"gone,omitempty"`
}

// holdingName is what the holding disk is called where storages are named.
const holdingName = "holding disk"

func (a *app) showVault(c *cli.Context, p nightly.VaultPlan) error {
	answer := vaultAnswer{Copies: []vaultRow{}, Superseded: p.Superseded, Gone: p.Gone}
	t := reports.Table{
		Header: []string{"VM", "DISK", "LEVEL", "STAMP", "SIZE", "FROM", "VOLUME", "TO", "REMARK"},
		Right:  []bool{false, false, true, false, true},
	}
	var sum int64
	for _, v := range p.Copies {
		d := v.Dump
		row := vaultRow{Dump: d.ID, DLE: d.DLE, Level: d.Level, Stamp: d.Stamp, Bytes: d.StoredBytes, From: holdingName, To: v.To.Name, Base: v.Base}
		if !v.Held {
			row.From, row.Label = v.From[0].Storage, v.From[0].Parts[0].Label
		}
		remark := ""
		if v.Base {
			remark = "another builds on it"
		}
		answer.Copies = append(answer.Copies, row)
		t.Rows = append(t.Rows, []string{
			d.DLE.VM, d.DLE.Disk, fmt.Sprint(d.Level), string(d.Stamp), humanize.IBytes(uint64(d.StoredBytes)), row.From, string(row.Label), row.To, remark,
		})
		sum += d.StoredBytes
	}
	if c.Bool("json") {
		return a.printJSON(answer)
	}
	if err := t.Write(a.stdout); err != nil {
		return err
	}
	for _, w := range p.Superseded {
		fmt.Fprintf(a.stdout, "%s is not copied to %s: there is a newer full\n", w.Dump, w.Storage)
	}
	for _, w := range p.Gone {
		fmt.Fprintf(a.stdout, "%s cannot be copied to %s: it is on no volume any more\n", w.Dump, w.Storage)
	}
	fmt.Fprintf(a.stdout, "%d dumps would be copied, %s\n", len(p.Copies), humanize.IBytes(uint64(sum)))
	return nil
}

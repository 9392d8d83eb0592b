package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"holdfast/catalog"
	"holdfast/catalog/sqlstore"
	"holdfast/configs"
	"holdfast/internal/frames"
	"holdfast/scheduler/recovery"
	"holdfast/vtape"
)

func (a *app) verifyCommand() *cli.Command {
	return &cli.Command{
		Name: "verify", Usage: "read dumps where they lie and prove them good", ArgsUsage: usageAnyDLEs,
		Description: `Reads every part and checks each layer: part checksums, headers, frames, encryption, the image's structure, and
the digest of each block. On a parity set it reads all members: one that is absent, short or wrong counts as damage, though the
dump can be restored without it; "volume repair" mends it. What is damaged is named with volume, file and bytes, or with the
member. The exit status is 1 if anything is.
With --sample it reads a part of what is kept, those dumps that no sample had for the longest time: by and by everything.
Without the key of an encrypted dump only the checksums of its parts can be compared: it is called sealed.

EXAMPLES
   holdfast verify                       everything
   holdfast verify web01                 all dumps of web01
   holdfast verify --run 20261121010000  what one run dumped
   holdfast verify --sample 5%           a twentieth; each call another`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "run", Usage: "only dumps of the run with this `STAMP`"},
			&cli.StringFlag{Name: "sample", Usage: "only so many `PERCENT` of the bytes"}, identityFlag(), jsonFlag(),
		},
		Action: a.verify,
	}
}

// verification is the answer of verify as JSON.
type verification struct {
	Verdicts []recovery.Verdict `json:"verdicts"`
	// Volumes that do not carry the label that was written on them.
	Volumes []string `json:"volumes"`
	Damaged bool     `json:"damaged"`
}

func (a *app) verify(c *cli.Context) error {
	ids, err := a.identities(c)
	if err != nil {
		return err
	}
	s, err := a.openSite(c, toRead)
	if err != nil {
		return err
	}
	defer s.close()
	dumps, sample, err := dumpsToVerify(c, s)
	if err != nil {
		return err
	}
	defer sample.close()
	v, err := a.verifyDumps(c, &verifying{s, s.recovery(ids), sample}, dumps)
	if err == nil || len(v.Verdicts) > 0 { // what was found is told, though not everything was read
		err = errors.Join(err, a.tellVerification(c, v, len(ids) > 0))
	}
	if a.stdout.err != nil {
		return err // what nobody was told counts as not read: the next sample finds it again
	}
	return errors.Join(err, sample.end(c))
}

func (a *app) tellVerification(c *cli.Context, v verification, keyGiven bool) error {
	v.Damaged = len(v.Volumes) > 0 || slices.ContainsFunc(v.Verdicts, func(x recovery.Verdict) bool { return len(x.Problems) > 0 })
	sealed := slices.ContainsFunc(v.Verdicts, func(x recovery.Verdict) bool { return x.Sealed })
	if v.Damaged || sealed && keyGiven {
		a.status = exitError
	}
	if c.Bool("json") {
		return a.printJSON(v)
	}
	a.printVerification(v, keyGiven)
	return nil
}

// verifying is what verify works with: sample is nil unless it was asked for one.
type verifying struct {
	*site
	src    *recovery.Site
	sample *sampling
}

// verifyDumps reads dumps, and the labels of all volumes when nothing less than everything was asked for.
func (a *app) verifyDumps(c *cli.Context, w *verifying, dumps []catalog.Dump) (verification, error) {
	w.src.Note = func(text string) { a.say("note", text) }
	bar := a.progressBar("verify")
	defer bar.end()
	v := verification{Verdicts: []recovery.Verdict{}, Volumes: []string{}}
	for i, d := range dumps {
		bar.show(fmt.Sprintf("%d of %d dumps, %s", i, len(dumps), d.ID))
		a.remakeMap(c, w.site, w.src, d)
		verdicts, err := w.src.Verify(c.Context, d)
		if err != nil {
			return v, err
		}
		v.Verdicts = append(v.Verdicts, verdicts...)
		w.sample.note(d)
	}
	if c.NArg() == 0 && w.sample == nil {
		var err error
		if v.Volumes, err = verifyVolumes(c, w.site, w.src); err != nil {
			return v, err
		}
	}
	return v, nil
}

// remakeMap makes a block map anew that is lost, so that the blocks have something to be compared with: its digest stands in the catalog.
func (a *app) remakeMap(c *cli.Context, s *site, src *recovery.Site, d catalog.Dump) {
	if d.Program != catalog.ProgramImage || !s.MapLost(d.ID) {
		return
	}
	err := s.RebuildMap(c.Context, src, d)
	switch {
	case err == nil:
		a.say("note", fmt.Sprintf("%s: its block map was lost: made anew", d.ID))
	case errors.Is(err, frames.ErrNoIdentity) || c.Context.Err() != nil:
	default:
		a.say("note", fmt.Sprintf("%s: its block map is lost, and cannot be made anew: %v", d.ID, err))
	}
}

// dumpsToVerify are the usable dumps that are still somewhere, or a sample of them: what is only history is not looked for.
func dumpsToVerify(c *cli.Context, s *site) ([]catalog.Dump, *sampling, error) {
	var share configs.Share
	if text := c.String("sample"); text != "" {
		if err := share.UnmarshalText([]byte(text)); err != nil {
			return nil, nil, usagef("--sample: %v", err)
		}
	}
	all, err := keptDumps(c, s)
	switch {
	case err != nil:
		return nil, nil, err
	case share > 0:
		m, sample, err := beginSample(s, all, share)
		return sample, m, err
	case len(all) == 0:
		return nil, nil, errors.New("nothing to verify: no dump matches")
	}
	return all, nil, nil
}

// keptDumps are the usable dumps that are somewhere, of those that the call names.
func keptDumps(c *cli.Context, s *site) ([]catalog.Dump, error) {
	var f sqlstore.DumpFilter
	if text := c.String("run"); text != "" {
		stamp, err := catalog.ParseStamp(text)
		if err != nil {
			return nil, &usageError{err}
		}
		f.Stamp = stamp
	}
	dles, err := matchKnown(c, s, c.Args().Slice())
	if err != nil {
		return nil, err
	}
	all, err := s.Store.Dumps(c.Context, f)
	if err != nil {
		return nil, err
	}
	placed, err := s.Placed(c.Context)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(d catalog.Dump) bool {
		return !d.Status.Usable() || !placed[d.ID] || len(dles) > 0 && !slices.Contains(dles, d.DLE)
	}), nil
}

// matchKnown gives the DLEs meant by names that are in the configuration or, taken out of it since, in the catalog.
func matchKnown(c *cli.Context, s *site, names []string) ([]catalog.DLE, error) {
	dumps, err := s.Store.Dumps(c.Context, sqlstore.DumpFilter{})
	if err != nil {
		return nil, err
	}
	known := map[catalog.DLE]bool{}
	var all []string
	for _, d := range s.Config.DLEs {
		known[d.Name()] = true
	}
	for _, d := range dumps {
		known[d.DLE] = true
	}
	for d := range known {
		all = append(all, d.VM, d.String())
	}
	var out []catalog.DLE
	for _, name := range names {
		before := len(out)
		for d := range known {
			if name == d.VM || name == d.String() {
				out = append(out, d)
			}
		}
		if len(out) == before {
			return nil, didYouMean(usagef("no VM %q in the configuration or the catalog", name), name, all, "")
		}
	}
	slices.SortFunc(out, func(a, b catalog.DLE) int {
		if a.Less(b) {
			return -1
		}
		return 1
	})
	return out, nil
}

func verifyVolumes(c *cli.Context, s *site, src *recovery.Site) ([]string, error) {
	volumes, err := s.Store.Volumes(c.Context, "")
	if err != nil {
		return nil, err
	}
	bad := []string{}
	for _, v := range volumes {
		if v.Retired || v.WriteStamp == "" {
			continue
		}
		fault := src.VerifyVolume(c.Context, v)
		if errors.Is(fault, vtape.ErrAbsent) {
			continue // what lay on it was told to be absent; on a full file system its label may never have been written
		}
		if fault != nil {
			bad = append(bad, fault.Error())
		}
	}
	return bad, c.Context.Err()
}

// What a line begins with that tells of something bad.
const (
	damagedWord = "DAMAGED"
	absentWord  = "ABSENT"
)

func (a *app) printVerification(v verification, keyGiven bool) {
	var bad, good, sealed int
	var bytes int64
	for _, d := range v.Verdicts {
		bytes += d.Bytes
		word := damagedWord
		if d.Absent {
			word = absentWord
		}
		for _, p := range d.Problems {
			fmt.Fprintf(a.stdout, "%-7s  %s  %s\n", word, d.Dump, p)
		}
		switch {
		case len(d.Problems) > 0:
			bad++
		case d.Sealed:
			sealed++
			fmt.Fprintf(a.stdout, "sealed   %s  %d bytes on %s\n", d.Dump, d.Bytes, d.Where)
		default:
			good++
			fmt.Fprintf(a.stdout, "ok       %s  %d bytes on %s\n", d.Dump, d.Bytes, d.Where)
		}
	}
	for _, p := range v.Volumes {
		fmt.Fprintf(a.stdout, "%s  %s\n", damagedWord, p)
	}
	fmt.Fprintf(a.stdout, "%d good, %d sealed, %d damaged or absent, %d volumes without their label; %d bytes read\n", good, sealed, bad, len(v.Volumes), bytes)
	if sealed == 0 {
		return
	}
	a.say("note", "of sealed dumps only the checksums of their parts were compared: they are encrypted")
	if keyGiven {
		a.say("error", "no key that was given opens the sealed dumps")
	}
}

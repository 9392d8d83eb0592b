package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"holdfast/catalog"
	"holdfast/scheduler/retention"
)

// markCommands are those that say of a volume what retention cannot know.
func (a *app) markCommands() []*cli.Command {
	return []*cli.Command{
		{
			Name: "no-reuse", Usage: "never overwrite a volume, until `volume reuse`", ArgsUsage: usageLabel,
			Description: "What the dumps on it build on stays, too.\n\nEXAMPLES\n   holdfast volume no-reuse DEMO-003",
			Action:      func(c *cli.Context) error { return a.markVolume(c, true) },
		},
		{
			Name: "reuse", Usage: "take back what no-reuse asked for", ArgsUsage: usageLabel,
			Description: "The volume is overwritten when nothing else keeps it and its turn comes.\n\nEXAMPLES\n   holdfast volume reuse DEMO-003",
			Action:      func(c *cli.Context) error { return a.markVolume(c, false) },
		},
		{
			Name: "retire", Usage: "a volume is gone for good: forget what was on it", ArgsUsage: usageLabel,
			Description: `For a vtape that is lost or broken. It is never written again, nor its label given to another; what other volumes
have is kept instead. It cannot be taken back.

EXAMPLES
   holdfast volume retire DEMO-003
   holdfast volume retire --force DEMO-003     though dumps that are still wanted lie nowhere else`,
			Flags:  []cli.Flag{&cli.BoolFlag{Name: "force", Usage: "also if the only copy of a dump that is to be kept goes with it"}},
			Action: a.retireVolume,
		},
	}
}

// namedVolume is the volume that the call names, with all verdicts.
func (a *app) namedVolume(c *cli.Context, s *site) (catalog.Volume, retention.Verdicts, error) {
	label := catalog.Label(c.Args().First())
	verdicts, volumes, err := s.Judge(c.Context, "")
	if err != nil {
		return catalog.Volume{}, verdicts, err
	}
	var labels []string
	for _, v := range volumes {
		if v.Label == label {
			return v, verdicts, nil
		}
		labels = append(labels, string(v.Label))
	}
	err = fmt.Errorf("no volume %q in the catalog", label)
	return catalog.Volume{}, verdicts, didYouMean(err, string(label), labels, "")
}

func oneLabel(c *cli.Context) error {
	if c.NArg() != 1 {
		return usagef("%s wants one label", commandPath(c))
	}
	return nil
}

func (a *app) markVolume(c *cli.Context, noReuse bool) error {
	if err := oneLabel(c); err != nil {
		return err
	}
	s, err := a.openSite(c, toPlan)
	if err != nil {
		return err
	}
	defer s.close()
	v, _, err := a.namedVolume(c, s)
	switch {
	case err != nil:
		return err
	case v.Retired:
		return fmt.Errorf("volume %s is retired: it is never written again", v.Label)
	}
	if err := s.Store.SetReuse(c.Context, v.Label, noReuse); err != nil {
		return err
	}
	_, verdicts, err := a.namedVolume(c, s)
	if err != nil {
		return err
	}
	verdict, _ := verdicts.Of(v.Label)
	fmt.Fprintf(a.stdout, "volume %s %s\n", v.Label, verdictText(verdict, s.Now().Location()))
	return nil
}

func (a *app) retireVolume(c *cli.Context) error {
	if err := oneLabel(c); err != nil {
		return err
	}
	s, err := a.openSite(c, toWork) // no run may be writing to it
	if err != nil {
		return err
	}
	defer s.close()
	v, verdicts, err := a.namedVolume(c, s)
	switch {
	case err != nil:
		return err
	case v.Retired:
		return fmt.Errorf("volume %s is retired already", v.Label)
	}
	lost := verdicts.OnlyOn(v.Label)
	if len(lost) > 0 && !c.Bool("force") {
		lines := []string{fmt.Sprintf("volume %s is not retired: these dumps are to be kept, and lie nowhere else:", v.Label)}
		for _, id := range lost {
			lines = append(lines, "  "+string(id))
		}
		return withHint(errors.New(strings.Join(lines, "\n")), "if the volume is lost all the same, add --force: the next run dumps anew what builds on it")
	}
	if err := s.Store.Retire(c.Context, v.Label); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "volume %s is retired; %d dumps are lost with it\n", v.Label, len(lost))
	return nil
}

// verdictText says in a line whether a volume may be overwritten, and if not, the weightiest reason.
func verdictText(v retention.Verdict, loc *time.Location) string {
	switch {
	case v.Reusable:
		return "may be overwritten"
	case v.Yields:
		return "is overwritten only if no other volume is left: " + v.Reasons[0].Text
	case v.Until.IsZero():
		return "is kept: " + v.Reasons[0].Text
	}
	return fmt.Sprintf("is kept until %s: %s", v.Until.In(loc).Format(time.DateTime), v.Reasons[0].Text)
}

// printReasons writes all reasons of a verdict, a line each, with their ends.
func printReasons(w io.Writer, v retention.Verdict, loc *time.Location) {
	if len(v.Reasons) < 2 {
		return // the verdict has said it
	}
	for _, r := range v.Reasons {
		until := ""
		if !r.Until.IsZero() {
			until = " (until " + r.Until.In(loc).Format(time.DateTime) + ")"
		}
		fmt.Fprintf(w, "  %s%s\n", r.Text, until)
	}
}

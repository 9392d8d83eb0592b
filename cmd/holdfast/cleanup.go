package main

import (
	"fmt"

	"github.com/urfave/cli/v2"
)

func (a *app) cleanupCommand() *cli.Command {
	return &cli.Command{
		Name: "cleanup", Usage: "put right what runs that were killed have left, without a run",
		Description: `The next run does it, too, but looks only at the volumes of the runs that ended badly. This looks at all that are there: parts
that were being written, uploads that never ended and pieces of them in buckets, unfinished files on the holding disk,
snapshots that are still held. Nothing that the catalog knows is touched. The exit status is 1 if something could not
be put right.

EXAMPLES
   holdfast cleanup --dry-run          only tells what it would do
   holdfast cleanup`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "dry-run", Usage: "change nothing, tell what would be done"}, jsonFlag(),
		},
		Action: a.cleanup,
	}
}

func (a *app) cleanup(c *cli.Context) error {
	s, err := a.openSite(c, toWork)
	if err != nil {
		return err
	}
	defer s.close()
	t, err := s.Cleanup(c.Context, c.Bool("dry-run"))
	if err != nil {
		return err
	}
	if len(t.Problems) > 0 {
		a.status = exitError
	}
	if c.Bool("json") {
		return a.printJSON(t)
	}
	word := "done"
	if t.DryRun {
		word = "left"
	}
	for _, line := range t.Done {
		fmt.Fprintf(a.stdout, "%s: %s\n", word, line)
	}
	for _, line := range t.Problems {
		fmt.Fprintf(a.stdout, "problem: %s\n", line)
	}
	if len(t.Done)+len(t.Problems) == 0 {
		fmt.Fprintln(a.stdout, "nothing was left")
	}
	return nil
}

package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	nightly "holdfast/scheduler/run"
)

func (a *app) checkCommand() *cli.Command {
	return &cli.Command{
		Name: "check", Usage: "is everything ready for the night?",
		Description: `Looks at the configuration, the catalog, the holding disk, the volumes, the keys and every image. The exit status
is 0 when the night can come, and 1 when something would fail.

EXAMPLES
   holdfast check`,
		Flags:  []cli.Flag{jsonFlag()},
		Action: a.check,
	}
}

func (a *app) check(c *cli.Context) error {
	s, err := a.openSite(c, toPlan)
	if err != nil {
		return err
	}
	defer s.close()
	found := s.Check(c.Context)
	errorsFound := 0
	for _, f := range found {
		if f.Severity == nightly.SeverityError {
			errorsFound++
		}
	}
	if errorsFound > 0 {
		a.status = exitError
	}
	if c.Bool("json") {
		return a.printJSON(found)
	}
	for _, f := range found {
		fmt.Fprintf(a.stdout, "%s: %s\n", f.Severity, f.Text)
		if f.Hint != "" {
			fmt.Fprintf(a.stdout, "  hint: %s\n", f.Hint)
		}
	}
	fmt.Fprintf(a.stdout, "images checked: %d, problems found: %d\n", len(s.Config.DLEs), errorsFound)
	return nil
}

package main

import (
	"fmt"
	"os/signal"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"holdfast/dumpers/freeze"
)

// agentOpeners are the ways to reach a guest's agent.
func agentOpeners() freeze.Openers {
	return freeze.Openers{freeze.KindQGA: freeze.OpenQGA}
}

// thawWatchdog is the command's name; run starts itself under it.
const thawWatchdog = "thaw-watchdog"

func (a *app) thawWatchdogCommand() *cli.Command {
	return &cli.Command{
		Name: thawWatchdog, Usage: "freeze and thaw a guest for a run, and outlive it", Hidden: true,
		Description: `run starts it by itself for each guest that it freezes, and talks with it over standard input and output. It
thaws when it is told to, when its input ends (the run has died), when the window for the freeze has ended, and on SIGTERM; and
it goes on asking and thawing until it has seen that the guest is thawed. docs/freeze.md tells more. It is of no use on its own,
but one that is seen in the list of processes for long has a guest whose agent does not answer.

EXAMPLES
   holdfast thaw-watchdog < orders`,
		Action: func(c *cli.Context) error {
			// Whoever reads the answers may be dead: that must not end the process. Nor may a second signal.
			signal.Ignore(syscall.SIGPIPE, syscall.SIGHUP)
			ctx, stop := signal.NotifyContext(c.Context, syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			err := freeze.Watchdog{Open: agentOpeners(), Now: time.Now}.Run(ctx, a.stdin, a.stdout)
			if err == nil && a.stdout.err != nil {
				return fmt.Errorf("answer the run: %v", a.stdout.err) // not wrapped: that nobody hears it is worth a word here
			}
			return err
		},
	}
}

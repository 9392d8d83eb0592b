// Command holdfast is a backup and archival scheduler for virtual machine images. This package wires the others
// together: flags, words on the screen, exit codes; nothing else.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v2"
)

// version is set when the program is built (-ldflags "-X main.version=...").
var version = "dev"

func main() {
	beFrugal()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the first signal ends the work in good order, a second one at once
	// What nobody reads any more (the daemon was killed, head has seen enough) cannot be written, but the night goes on. Programs
	// that are called have the signal as usual, which they would not if it were ignored.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	code := run(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program without its surroundings: what tests call.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{stdin: stdin, stdout: &output{Writer: stdout}, stderr: stderr}
	if len(args) > 1 && args[1] == completeWords {
		a.complete(ctx, args[2:])
		return 0
	}
	c := a.command()
	ordered, err := reorder(c, args)
	if err == nil {
		err = c.RunContext(ctx, ordered)
	}
	if err == nil && a.stdout.err != nil {
		err = fmt.Errorf("write the answer: %w", a.stdout.err)
	}
	if err != nil {
		if !errors.Is(err, syscall.EPIPE) || !errors.Is(a.stdout.err, syscall.EPIPE) {
			a.complain(err) // whoever reads no further knows that
		}
		return a.status | exitCode(err) // a run that could not print its report keeps its bits
	}
	return a.status
}

// app is one call of the program.
type app struct {
	stdin  io.Reader
	stdout *output
	stderr io.Writer
	// status is what a command that did its work wants the program to exit with.
	status int
}

const mainHelp = `holdfast backs up virtual machine images: each night a planner decides for each image between a full
and an incremental dump, the dumps go through a holding disk to labelled vtapes, a catalog knows where everything is,
and a report is mailed in the morning.

EXAMPLES
   holdfast init --images /var/lib/libvirt/images     write a configuration and make the vtapes
   holdfast --config holdfast.yaml check              is everything ready for the night?
   holdfast --config holdfast.yaml run                one night's work (what cron calls)
   holdfast --config holdfast.yaml restore web01 --to /tmp/web01.raw`

func (a *app) command() *cli.App {
	c := &cli.App{
		Name: "holdfast", Usage: "backup and archival scheduler for virtual machine images", Description: mainHelp,
		Version: version, HideVersion: true, HideHelpCommand: true,
		Reader: a.stdin, Writer: a.stdout, ErrWriter: a.stderr,
		DisableSliceFlagSeparator: true,                         // names of files may have commas
		ExitErrHandler:            func(*cli.Context, error) {}, // run decides about exit codes
		Flags: []cli.Flag{
			&cli.StringFlag{
				Name: configFlag, Aliases: []string{configShort}, Usage: "configuration `FILE`",
				EnvVars: []string{configEnv}, Value: defaultConfigPath,
			},
			cli.HelpFlag, // the library adds it only where no command is called help
		},
		Action: a.noCommand,
		Commands: []*cli.Command{
			a.initCommand(), a.checkCommand(), a.planCommand(), a.simulateCommand(), a.overviewCommand(), a.runCommand(), a.flushCommand(),
			a.vaultCommand(), a.statusCommand(), a.reportCommand(), a.restoreCommand(), a.verifyCommand(), a.cleanupCommand(),
			a.volumeCommand(), a.dleCommand(),
			a.configCommand(), a.keyCommand(), a.daemonCommand(), a.completionCommand(), a.manCommand(), a.thawWatchdogCommand(),
			a.helpCommand(), a.versionCommand(),
		},
	}
	settle(c.Commands)
	return c
}

const (
	configFlag        = "config"
	configShort       = "c"
	configEnv         = "HOLDFAST_CONFIG"
	defaultConfigPath = "/etc/holdfast/holdfast.yaml"
)

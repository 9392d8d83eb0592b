package freeze_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"holdfast/dumpers/dumpertest"
	"holdfast/dumpers/freeze"
)

// Roles that this binary takes when it is started by a test: the watchdog, and a run that is going to be killed.
const (
	roleWatchdog = "watchdog"
	roleRun      = "run"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case roleWatchdog:
			os.Exit(watchdog())
		case roleRun:
			os.Exit(runToBeKilled())
		}
	}
	os.Exit(m.Run())
}

func openers() freeze.Openers { return freeze.Openers{freeze.KindQGA: freeze.OpenQGA} }

// watchdog does as the program does (cmd/holdfast).
func watchdog() int {
	signal.Ignore(syscall.SIGPIPE, syscall.SIGHUP)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := (freeze.Watchdog{Open: openers(), Now: time.Now}).Run(ctx, os.Stdin, os.Stdout); err != nil {
		return 1
	}
	return 0
}

// guard is one whose watchdog is this binary.
func guard(j *dumpertest.Journal) *freeze.Guard {
	return &freeze.Guard{Command: []string{os.Args[0], roleWatchdog}, Journal: j, Open: openers(), Now: time.Now}
}

// runToBeKilled freezes as it is told on its standard input, says so, and never comes to an end.
func runToBeKilled() int {
	var o freeze.Order
	if err := json.NewDecoder(os.Stdin).Decode(&o); err != nil {
		fmt.Println(err)
		return 1
	}
	_, err := guard(&dumpertest.Journal{}).Around(context.Background(), o, func(context.Context) error {
		fmt.Println("pinning")
		select {}
	})
	fmt.Println("ended:", err)
	return 1
}

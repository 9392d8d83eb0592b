package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"holdfast/dumpers"
	"holdfast/dumpers/dumpertest"
	"holdfast/dumpers/freeze"
	"holdfast/internal/qgatest"
)

// The program itself is the watchdog: a guest is frozen and thawed through it, and nothing stands in its arguments.
func TestThawWatchdog(t *testing.T) {
	agent := qgatest.Start(t, &qgatest.Agent{FileSystems: 1})
	guard := freeze.Guard{Command: []string{"holdfast", thawWatchdog}, Journal: &dumpertest.Journal{}, Open: agentOpeners(), Now: time.Now}
	order := freeze.Order{VM: "web", Guest: freeze.Guest{Kind: freeze.KindQGA, Socket: agent.Socket}, Policy: freeze.Require}
	reached, err := guard.Around(t.Context(), order, func(context.Context) error {
		if agent.Frozen() != 1 {
			return errors.New("not frozen")
		}
		return nil
	})
	if err != nil || reached.Consistency != dumpers.ConsistentFS || agent.Frozen() != 0 {
		t.Errorf("%+v, %v, %d frozen", reached, err, agent.Frozen())
	}
}

// Who gave the order dies while the hook runs: the answer goes nowhere, and the freeze that follows is thawed. A hangup and
// signals to end, more than one, change nothing.
func TestThawWatchdogAlone(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	agent := qgatest.Start(t, &qgatest.Agent{FileSystems: 1, Hook: func() error {
		close(entered)
		<-release
		return nil
	}})
	cmd := exec.Command("holdfast", thawWatchdog)
	orders, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	answers, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	order := fmt.Sprintf(`{"do":"freeze","guest":{"kind":"qga","socket":%q},"timeout_ns":60000000000,"window_ns":60000000000}`, agent.Socket)
	if _, err := io.WriteString(orders, order+"\n"); err != nil {
		t.Fatal(err)
	}
	<-entered
	if err := errors.Join(answers.Close(), orders.Close()); err != nil {
		t.Fatal(err)
	}
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTERM, syscall.SIGTERM, syscall.SIGINT} {
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	close(release)
	agent.AwaitCall(t, "guest-fsfreeze-thaw")
	agent.Await(t, 0)
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != exitError || !strings.Contains(complaints.String(), "broken pipe") {
		t.Errorf("%v: %s", err, complaints.String())
	}
}

package freeze

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"holdfast/internal/jsonlines"
)

// errDied: the watchdog has said all it will ever say.
var errDied = errors.New("the watchdog has died")

// process is a watchdog that runs.
type process struct {
	cmd     *exec.Cmd
	orders  io.WriteCloser
	answers *os.File
	said    chan answer // closed at their end
}

// answersMax is how many answers a watchdog gives to one order, and some.
const answersMax = 8

// startProcess starts a watchdog. A session of its own keeps it from the signals of a terminal.
func startProcess(command []string) (*process, error) {
	if len(command) == 0 {
		return nil, errors.New("start the watchdog: no command")
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Args[0] = "holdfast" // what an administrator sees in a list of processes, wherever the program lies
	cmd.Dir = "/"            // it may live long, and shall keep no mount busy
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	orders, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start the watchdog: %w", err)
	}
	// A pipe of our own: one of exec's would be closed by its Wait.
	answers, theirs, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the watchdog: %w", err), orders.Close())
	}
	cmd.Stdout = theirs
	err = errors.Join(cmd.Start(), theirs.Close())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the watchdog: %w", err), orders.Close(), answers.Close())
	}
	p := &process{cmd: cmd, orders: orders, answers: answers, said: make(chan answer, answersMax)}
	go p.listen()
	return p, nil
}

// listen takes the answers until they end; one that makes no sense is an end, too.
func (p *process) listen() {
	defer close(p.said)
	lines := jsonlines.NewReader(p.answers, lineLimits)
	for range answersMax {
		line, err := lines.Line()
		var a answer
		if err != nil || lineLimits.Decode(line, &a) != nil {
			return
		}
		p.said <- a
	}
}

// ask says something to the watchdog and waits for an answer of one of the states for so long. One that is at its end takes
// no orders, but may have said beforehand what is to be known.
func (p *process) ask(ctx context.Context, limit time.Duration, c command, states ...string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	_ = send(p.orders, c)
	for {
		select {
		case a, ok := <-p.said:
			if !ok {
				return answer{}, errDied
			}
			for _, s := range states {
				if a.State == s {
					return a, nil
				}
			}
		case <-ctx.Done():
			return answer{}, fmt.Errorf("the watchdog does not answer: %w", ctx.Err())
		}
	}
}

// leave ends what is between us. To the watchdog that is an order to thaw, if it has not. One that has ended or is about to
// is waited for; otherwise it has work to do, for hours maybe, and outlives this process.
func (p *process) leave(ended bool) {
	_ = p.orders.Close() // it may be gone
	if ended {
		_ = p.cmd.Wait() // its status says nothing that it did not say
	} else {
		_ = p.cmd.Process.Release()
	}
	_ = p.answers.Close()
	for range p.said { // ends with the pipe
	}
}

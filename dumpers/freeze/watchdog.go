package freeze

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"holdfast/internal/jsonlines"
)

const (
	// patience is how long a watchdog tries to reach an agent that does not answer. The next night's run reaps what is left.
	patience = 24 * time.Hour
	// lastTries is how long it still tries after it was told to end.
	lastTries = time.Minute
)

// Watchdog is the process that freezes and thaws. Its owner sees to it that a broken pipe and a hangup do not end the process.
type Watchdog struct {
	Open Openers
	// Now is the clock, for the time frozen only.
	Now func() time.Time
}

// Run carries out one order and returns when nothing of it is frozen any more. When ctx ends, it thaws. An error means that
// this could not be seen in all the time there was.
func (w Watchdog) Run(ctx context.Context, orders io.Reader, answers io.Writer) error {
	lines := jsonlines.NewReader(orders, lineLimits)
	line, err := lines.Line()
	if errors.Is(err, io.EOF) {
		return nil
	}
	var order command
	if err == nil {
		err = lineLimits.Decode(line, &order)
	}
	if err == nil && order.Do != doFreeze {
		err = fmt.Errorf("the first word is %q", order.Do)
	}
	if err != nil {
		return fmt.Errorf("watchdog: read the order: %w", err)
	}
	// Whatever comes next, or the end, means thaw. The reader ends with the process.
	called := make(chan struct{})
	go func() {
		_, _ = lines.Line()
		close(called)
	}()
	// The answers may go nowhere: whoever asked may be dead. That changes nothing here.
	final, err := w.carryOut(ctx, order, called, answers)
	if err != nil {
		return fmt.Errorf("watchdog: %w", err)
	}
	_ = send(answers, final)
	return nil
}

func (w Watchdog) carryOut(ctx context.Context, order command, called <-chan struct{}, answers io.Writer) (answer, error) {
	agent, err := w.Open.Open(ctx, order.Guest)
	if err != nil {
		_ = send(answers, answer{State: stateRefused, Why: err.Error()})
		return answer{State: stateOver, Why: err.Error()}, nil
	}
	defer agent.Close()
	return w.freezeAndThaw(ctx, order, called, session{&thawer{agent: agent, now: w.Now}, answers})
}

// session is one guest and whoever hears of it.
type session struct {
	*thawer
	answers io.Writer
}

func (w Watchdog) freezeAndThaw(ctx context.Context, order command, called <-chan struct{}, s session) (answer, error) {
	n, sent, err := s.freeze(ctx, order, called)
	if err != nil {
		_ = send(s.answers, answer{State: stateRefused, Why: err.Error()})
		if sent {
			err = s.settleLong(ctx)
		} else {
			err = nil
		}
		return answer{State: stateOver, Count: s.count}, err
	}
	begun := w.Now()
	_ = send(s.answers, answer{State: stateFrozen, Count: n})
	why := ""
	select {
	case <-called:
	case <-ctx.Done():
		why = "the watchdog was told to end"
	case <-time.After(order.Window):
		why = fmt.Sprintf("frozen for %v and no longer: the window has ended", order.Window)
	}
	_ = s.thaw(context.WithoutCancel(ctx)) // settle sees whether it did
	err = s.settleLong(ctx)
	if s.count < n && s.refused != nil {
		why = s.refused.Error()
	}
	return answer{State: stateOver, Count: s.count, Held: s.at.Sub(begun), Why: why}, err
}

// freeze freezes, after it has seen that nobody else has. Sent tells whether the guest was asked: then it may be frozen now or
// later, also with an error.
func (s session) freeze(ctx context.Context, order command, called <-chan struct{}) (n int, sent bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, order.Timeout)
	defer cancel()
	go func() {
		select {
		case <-called: // whoever wants it has gone, or wants it no more
			cancel()
		case <-ctx.Done():
		}
	}()
	frozen, err := s.agent.Frozen(ctx)
	if err != nil {
		return 0, false, err
	}
	if frozen {
		return 0, false, errors.New("the guest is frozen already, by somebody else")
	}
	if n, err = s.agent.Freeze(ctx, order.Mountpoints); err == nil && n == 0 {
		err = errors.New("the guest says that no file system was frozen")
	}
	return n, true, err
}

// settleLong settles with all the time there is, and for a short time only when the process is told to end.
func (s session) settleLong(ctx context.Context) error {
	long, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(lastTries):
			cancel()
		case <-long.Done():
		}
	})
	defer stop()
	return s.settle(long)
}

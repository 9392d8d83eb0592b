package freeze

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// askMax bounds one question to an agent; thawMax one thaw, whose answer comes only after the guest's hook, which is
	// called when the file systems are thawed.
	askMax  = 5 * time.Second
	thawMax = 30 * time.Second
	// pauseMin and pauseMax are between questions to an agent that does not answer.
	pauseMin = 200 * time.Millisecond
	pauseMax = 15 * time.Second
)

// thawer thaws an agent's guest, and remembers what it saw.
type thawer struct {
	agent Agent
	now   func() time.Time
	// count is how many file systems were thawed, and at when the last answer to a thaw came.
	count int
	at    time.Time
	// asked: the guest was asked for a thaw.
	asked bool
	// refused is the first error of a thaw, for whoever wonders about the count.
	refused error
}

// thaw asks for a thaw once. That it was done is for settle to see.
func (th *thawer) thaw(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, thawMax)
	defer cancel()
	n, err := th.agent.Thaw(ctx)
	th.at, th.asked = th.now(), true
	th.count += n
	if th.refused == nil {
		th.refused = err
	}
	return err
}

// settle asks whether the guest is frozen and thaws it for as long as it is, until it is seen that it is not, or ctx ends. It
// thaws once in any case: after a hook that has failed the agent freezes nothing and calls no hook again, and what the hook
// brought to rest would rest for ever.
func (th *thawer) settle(ctx context.Context) error {
	pause := pauseMin
	for {
		frozen, err := th.frozen(ctx)
		switch {
		case errors.Is(err, ErrGone) || err == nil && !frozen && th.asked:
			return nil
		case err == nil:
			if err = th.thaw(ctx); err == nil {
				continue // and see
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("thaw: not seen to be thawed: %w", err)
		case <-time.After(pause):
			pause = min(2*pause, pauseMax)
		}
	}
}

func (th *thawer) frozen(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, askMax)
	defer cancel()
	return th.agent.Frozen(ctx)
}

package freeze

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"holdfast/catalog"
)

// reapMax bounds the reaping of one entry: an agent that is dead or in another's hands must not hold up a night.
const reapMax = 20 * time.Second

// Reap thaws what an earlier run may have left frozen in a VM (in all for an empty name), by the journal, and says what it
// did. An entry stays until it is seen that nothing is frozen any more. A freeze is the first thing to be reaped: a guest
// that is frozen does no work. Not to be called while another run may be freezing.
func (g *Guard) Reap(ctx context.Context, vm string) ([]string, error) {
	open, err := g.Journal.Open(ctx, ResourceKind)
	if err != nil {
		return nil, err
	}
	var said []string
	var failed error
	for _, r := range open {
		if vm != "" && r.Name != vm {
			continue
		}
		count, err := g.reap(ctx, r)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("thaw %s, frozen since %s: %w", r.Name, r.Made.Format(time.DateTime), err))
			continue
		}
		if count > 0 {
			said = append(said, fmt.Sprintf("thawed %s: %d file systems were frozen since %s", r.Name, count, r.Made.Format(time.DateTime)))
		} else {
			said = append(said, fmt.Sprintf("%s was not frozen any more", r.Name))
		}
	}
	return said, failed
}

func (g *Guard) reap(ctx context.Context, r catalog.Resource) (int, error) {
	var guest Guest
	if err := json.Unmarshal([]byte(r.Data), &guest); err != nil {
		return 0, fmt.Errorf("journal entry: %w", err)
	}
	limited, cancel := context.WithTimeout(ctx, reapMax)
	defer cancel()
	count, err := g.settle(limited, guest)
	if err != nil {
		return 0, err
	}
	return count, g.Journal.Done(ctx, r.ID)
}

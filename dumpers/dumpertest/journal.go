package dumpertest

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"holdfast/catalog"
)

// Journal is a journal in memory. Methods may be called concurrently.
type Journal struct {
	mu   sync.Mutex
	open []catalog.Resource
}

// Add implements dumpers.Journal.
func (j *Journal) Add(ctx context.Context, r catalog.Resource) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if slices.ContainsFunc(j.open, func(o catalog.Resource) bool { return o.ID == r.ID }) {
		return fmt.Errorf("journal: %s is there already", r.ID)
	}
	j.open = append(j.open, r)
	return ctx.Err()
}

// Done implements dumpers.Journal.
func (j *Journal) Done(ctx context.Context, id string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.open = slices.DeleteFunc(j.open, func(o catalog.Resource) bool { return o.ID == id })
	return ctx.Err()
}

// Open implements dumpers.Journal. All kinds are given for an empty one.
func (j *Journal) Open(ctx context.Context, kind string) ([]catalog.Resource, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var list []catalog.Resource
	for _, r := range j.open {
		if kind == "" || r.Kind == kind {
			list = append(list, r)
		}
	}
	return list, ctx.Err()
}

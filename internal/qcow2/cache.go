package qcow2

import (
	"container/list"
	"sync"
)

// cache keeps the most recently used of what was loaded from the file, by file offset. Callers that want the same thing
// at once wait for one load. What is returned is shared and must not be written to. An error is not kept.
type cache struct {
	limit int // entries

	mu      sync.Mutex // guards what follows; not held while loading
	entries map[int64]*list.Element
	order   *list.List // of *cached, most recently used first
}

type cached struct {
	key  int64
	load func() ([]byte, error)
}

func newCache(limit int) *cache {
	return &cache{limit: limit, entries: map[int64]*list.Element{}, order: list.New()}
}

// get gives what is at key, by load if it is not there.
func (c *cache) get(key int64, load func() ([]byte, error)) ([]byte, error) {
	e := c.entry(key, load)
	data, err := e.Value.(*cached).load()
	if err != nil {
		c.remove(e)
	}
	return data, err
}

func (c *cache) entry(key int64, load func() ([]byte, error)) *list.Element {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.entries[key]; ok {
		c.order.MoveToFront(e)
		return e
	}
	e := c.order.PushFront(&cached{key: key, load: sync.OnceValues(load)})
	c.entries[key] = e
	if c.order.Len() > c.limit {
		oldest := c.order.Back()
		c.order.Remove(oldest)
		delete(c.entries, oldest.Value.(*cached).key)
	}
	return e
}

// remove takes out e unless something else took its place.
func (c *cache) remove(e *list.Element) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := e.Value.(*cached).key
	if c.entries[key] == e {
		c.order.Remove(e)
		delete(c.entries, key)
	}
}

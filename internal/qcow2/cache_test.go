package qcow2

import (
	"errors"
	"slices"
	"sync"
	"testing"
)

// The cache keeps as many as it may, the least recently used goes first, and an error is not kept.
func TestCacheKeeps(t *testing.T) {
	var loads []int64
	c := newCache(2)
	get := func(key int64, err error) {
		t.Helper()
		data, got := c.get(key, func() ([]byte, error) {
			loads = append(loads, key)
			return []byte{byte(key)}, err
		})
		if got != err || data[0] != byte(key) {
			t.Fatalf("key %d: %v, %v", key, data, got)
		}
	}
	bad := errors.New("bad")
	get(1, nil)
	get(2, nil)
	get(1, nil) // is there
	get(3, nil) // drops 2
	get(1, nil) // is there
	get(2, bad) // drops 3, and is not kept
	get(2, nil)
	get(1, nil) // is there
	if want := []int64{1, 2, 3, 2, 2}; !slices.Equal(loads, want) {
		t.Errorf("loaded %v, want %v", loads, want)
	}
	if len(c.entries) != 2 || c.order.Len() != 2 {
		t.Errorf("%d entries, %d in order, want 2", len(c.entries), c.order.Len())
	}
}

// Many who want the same at once wait for one load; one who wants something else does not wait.
func TestCacheAtOnce(t *testing.T) {
	c, loading, release := newCache(4), make(chan int, 5), make(chan struct{})
	var wg sync.WaitGroup
	for i := range 5 {
		wg.Go(func() {
			c.get(1, func() ([]byte, error) { loading <- i; <-release; return nil, nil })
		})
	}
	<-loading
	if _, err := c.get(2, func() ([]byte, error) { return nil, nil }); err != nil {
		t.Error(err)
	}
	close(release)
	wg.Wait()
	if len(loading) > 0 {
		t.Errorf("loaded %d times", 1+len(loading))
	}
}

package rait

import (
	"bytes"
	"errors"
	"slices"

	"github.com/klauspost/reedsolomon"
)

// codec reckons parity. Shards are in the order of the members, data first, and of one length.
type codec struct {
	form
	rs reedsolomon.Encoder // nil in a mirror
}

func newCodec(f form) (*codec, error) {
	c := &codec{form: f}
	if f.data == 1 {
		return c, nil // every member is a copy
	}
	options := []reedsolomon.Option{reedsolomon.WithAutoGoroutines(int(max(f.shard, roundBytes)))}
	if f.parity == 1 {
		// Otherwise the parity would not be the plain XOR that Amanda and everybody else can undo.
		options = append(options, reedsolomon.WithFastOneParityMatrix())
	}
	var err error
	c.rs, err = reedsolomon.New(f.data, f.parity, options...)
	return c, err
}

// encode fills the parity shards. In a mirror they may be the data itself.
func (c *codec) encode(shards [][]byte) error {
	if c.rs != nil {
		return c.rs.Encode(shards)
	}
	for _, s := range shards[1:] {
		copy(s, shards[0])
	}
	return nil
}

// rebuild makes the shards that are wanted and have no length; where they have room, in it. At least as many others as
// the set has data members must be there.
func (c *codec) rebuild(shards [][]byte, want []bool) error {
	if c.rs != nil {
		return c.rs.ReconstructSome(shards, want)
	}
	i := slices.IndexFunc(shards, func(s []byte) bool { return len(s) > 0 })
	if i < 0 {
		return errors.New("no copy to rebuild from")
	}
	for j, s := range shards {
		if len(s) == 0 && want[j] {
			shards[j] = append(s, shards[i]...)
		}
	}
	return nil
}

// agree tells whether the shards that are there (not nil) are all of one stripe. There must be as many as the set has
// data members; with no more than these, they always agree.
func (c *codec) agree(shards [][]byte) (bool, error) {
	full := slices.Clone(shards)
	missing := slices.ContainsFunc(full, func(s []byte) bool { return s == nil })
	if c.rs == nil {
		full = slices.DeleteFunc(full, func(s []byte) bool { return s == nil })
		return !slices.ContainsFunc(full, func(s []byte) bool { return !bytes.Equal(s, full[0]) }), nil
	}
	if missing {
		if err := c.rs.Reconstruct(full); err != nil {
			return false, err
		}
	}
	return c.rs.Verify(full)
}

// locate finds the members whose shards are wrong, when parity can tell: with g members not there, at most half of
// parity-g may be wrong. It gives nil when it cannot.
func (c *codec) locate(shards [][]byte) []int {
	there := 0
	for _, s := range shards {
		if s != nil {
			there++
		}
	}
	for t := 1; 2*t <= there-c.data; t++ {
		for choice := range choices(c.members(), t) {
			if slices.ContainsFunc(choice, func(i int) bool { return shards[i] == nil }) {
				continue
			}
			rest := slices.Clone(shards)
			for _, i := range choice {
				rest[i] = nil
			}
			if ok, err := c.agree(rest); err == nil && ok {
				return slices.Clone(choice)
			}
		}
	}
	return nil
}

// locateIn is locate for the case that different members are wrong in different places: what cannot be told for all of
// the shards is looked for in their halves.
func (c *codec) locateIn(shards [][]byte, wrong map[int]bool) (all bool) {
	if ok, err := c.agree(shards); err != nil || ok {
		return err == nil
	}
	if found := c.locate(shards); found != nil {
		for _, i := range found {
			wrong[i] = true
		}
		return true
	}
	n := 0
	for _, s := range shards {
		n = max(n, len(s))
	}
	if n < 2*locateBytes || c.parity < 2 {
		return false
	}
	low, high := slices.Clone(shards), slices.Clone(shards)
	for i, s := range shards {
		if s != nil {
			low[i], high[i] = s[:n/2], s[n/2:]
		}
	}
	first := c.locateIn(low, wrong)
	return c.locateIn(high, wrong) && first
}

// locateBytes is the smallest piece in which locateIn looks for one set of wrong members.
const locateBytes = 512

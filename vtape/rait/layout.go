package rait

import (
	"errors"
	"fmt"

	"holdfast/vtape"
)

const (
	// amandaShard is the child block of Amanda's RAIT device; with more than two children it takes no other.
	amandaShard = 32 << 10
	// defaultShard is what parity is fastest with: all shards of a stripe stay in the processor's cache.
	defaultShard = 256 << 10
	maxShard     = 4 << 20
	// roundBytes is how much of each member is read or written at a time, unless one shard is more.
	roundBytes = 256 << 10
	// maxMembers bounds what a header can make a reader allocate.
	maxMembers = 32
	// amandaMembers is the largest set that is written in Amanda's form.
	amandaMembers = 5
)

// form is the shape of a set: how the bytes of a part are spread over its members.
type form struct {
	data, parity int
	// shard is what one member holds of a stripe, in bytes; of the last stripe it may be less in our own layout.
	shard int64
	// amanda: stripes are always whole, filled up with zeros, and headers say nothing of the set.
	amanda bool
}

func newForm(members int, o Options) (form, error) {
	f := form{parity: max(1, o.Parity), shard: o.ShardBytes}
	f.data = members - f.parity
	switch {
	case members > maxMembers:
		return f, fmt.Errorf("%d members, at most %d", members, maxMembers)
	case o.Parity < 0 || f.data < 1:
		return f, fmt.Errorf("%d members with %d of parity: at least one must be left for data", members, f.parity)
	case f.parity == 1 && members <= amandaMembers:
		f.amanda, f.shard = true, amandaShard
		if o.ShardBytes != 0 && o.ShardBytes != amandaShard {
			return f, fmt.Errorf("shards of %d bytes: Amanda's form has %d", o.ShardBytes, amandaShard)
		}
	case f.shard == 0:
		f.shard = defaultShard
	}
	return f, f.check()
}

func (f form) check() error {
	if f.data < 1 || f.parity < 1 || f.members() > maxMembers {
		return fmt.Errorf("set of %d+%d members: want at most %d", f.data, f.parity, maxMembers)
	}
	if f.shard < 1 || f.shard > maxShard {
		return fmt.Errorf("shards of %d bytes: want 1 to %d", f.shard, maxShard)
	}
	return nil
}

func (f form) members() int  { return f.data + f.parity }
func (f form) stripe() int64 { return int64(f.data) * f.shard }

// round is how many stripes are read or written at a time.
func (f form) round() int64 { return max(1, roundBytes/f.shard) }

// matrix names the arithmetic of the parity, as headers do.
func (f form) matrix() string {
	if f.parity == 1 {
		return matrixXOR
	}
	return matrixVandermonde
}

// memberBytes is how long a member's file is, without its header, when the part has n bytes.
func (f form) memberBytes(n int64) int64 {
	whole, rest := n/f.stripe()*f.shard, n%f.stripe()
	switch {
	case rest == 0:
		return whole
	case f.amanda:
		return whole + f.shard
	}
	return whole + (rest+int64(f.data)-1)/int64(f.data)
}

// dataBytes is how much of a part fits when each member takes n bytes.
func (f form) dataBytes(n int64) int64 {
	whole, rest := n/f.shard*f.stripe(), n%f.shard
	if f.amanda && f.data > 1 {
		return whole
	}
	return whole + rest*int64(f.data)
}

// AlignBytes is what a part cut short by the end of the medium is a multiple of: vtape.PartAlign, and whole stripes
// where they are padded.
func (f form) AlignBytes() int64 {
	if !f.amanda {
		return vtape.PartAlign
	}
	n := int64(vtape.PartAlign)
	for n%f.stripe() != 0 {
		n += vtape.PartAlign
	}
	return n
}

var errNoMembers = errors.New("a set has two members or more")

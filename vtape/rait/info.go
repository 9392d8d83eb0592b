package rait

import (
	"encoding/json"
	"errors"
	"fmt"

	"holdfast/vtape"
)

// The arithmetics of parity, as headers name them.
const (
	matrixXOR         = "xor"
	matrixVandermonde = "vandermonde"
)

// infoVersion is the only version of the layout so far.
const infoVersion = 1

// Info is what a member's header says of the set, as the line HOLDFAST-RAIT=.
type Info struct {
	Version int `json:"v"`
	// Data and Parity count the members that hold data and parity.
	Data   int `json:"data"`
	Parity int `json:"parity"`
	// Member is this member's number, from 1; those of data come first.
	Member int `json:"member"`
	// ShardBytes is how much of a stripe lies on one member.
	ShardBytes int64 `json:"shard"`
	// Matrix is "xor" or "vandermonde".
	Matrix string `json:"matrix"`
	// Bytes is the true length of a part; nil in a label, and when it was not known.
	Bytes *int64 `json:"bytes,omitempty"`
	// Repair is set in the label of a member that is being written anew and is not whole yet.
	Repair bool `json:"repair,omitempty"`
}

// ParseInfo reads a member line (vtape.Header.MemberLine). It refuses versions and matrices that it does not know.
func ParseInfo(line string) (Info, error) {
	var i Info
	if err := json.Unmarshal([]byte(line), &i); err != nil {
		return Info{}, fmt.Errorf("parse member line: %w", err)
	}
	if err := i.check(); err != nil {
		return Info{}, fmt.Errorf("parse member line: %w", err)
	}
	return i, nil
}

func (i Info) check() error {
	if i.Version != infoVersion {
		return fmt.Errorf("version %d is not known", i.Version)
	}
	if i.Data < 0 || i.Data > maxMembers || i.Parity < 0 || i.Parity > maxMembers {
		return fmt.Errorf("set of %d+%d members", i.Data, i.Parity)
	}
	f := form{data: i.Data, parity: i.Parity, shard: i.ShardBytes}
	if err := f.check(); err != nil {
		return err
	}
	if i.Member < 1 || i.Member > f.members() {
		return fmt.Errorf("member %d of %d", i.Member, f.members())
	}
	if i.Matrix != f.matrix() {
		return fmt.Errorf("matrix %.40q with %d of parity", i.Matrix, i.Parity)
	}
	if i.Bytes != nil && *i.Bytes < 0 {
		return errors.New("negative length")
	}
	return nil
}

func (i Info) line() string {
	text, err := json.Marshal(i)
	if err != nil {
		panic(err) // numbers, words and nothing else
	}
	return string(text)
}

// info is what the headers of a member (from 0) say.
func (f form) info(member int) Info {
	return Info{Version: infoVersion, Data: f.data, Parity: f.parity, Member: member + 1, ShardBytes: f.shard, Matrix: f.matrix()}
}

// memberHeader is a header as it is written to one member. Bytes is nil where the length is not known.
func (f form) memberHeader(h vtape.Header, member int, bytes *int64) vtape.Header {
	h.MemberLine = ""
	if !f.amanda {
		i := f.info(member)
		i.Bytes = bytes
		h.MemberLine = i.line()
	}
	return h
}

var (
	errUnrepaired = errors.New("is being written anew, and is not whole yet")
	errOtherSet   = errors.New("belongs to another set")
)

// checkMember tells whether a header is one of this member of the set.
func (f form) checkMember(h vtape.Header, member int) (Info, error) {
	if h.MemberLine == "" {
		if !f.amanda {
			return Info{}, fmt.Errorf("%w: its header does not say that it is of a set", errOtherSet)
		}
		return f.info(member), nil
	}
	i, err := ParseInfo(h.MemberLine)
	if err != nil {
		return Info{}, err
	}
	want := f.info(member)
	want.Bytes, want.Repair = i.Bytes, i.Repair
	switch {
	case i.Repair:
		return i, errUnrepaired
	case f.amanda:
		return i, fmt.Errorf("%w, of %d+%d members", errOtherSet, i.Data, i.Parity)
	case i.Data == want.Data && i.Parity == want.Parity && i.Member != want.Member:
		return i, fmt.Errorf("%w, or the members are in another order: it is member %d, not %d", errOtherSet, i.Member, want.Member)
	case i != want:
		return i, fmt.Errorf("%w: %d+%d members with shards of %d bytes", errOtherSet, i.Data, i.Parity, i.ShardBytes)
	}
	return i, nil
}

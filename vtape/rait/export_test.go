package rait

import "holdfast/vtape"

// MemberHeader is a header as a set of so many members writes it to one of them.
func MemberHeader(h vtape.Header, members, parity, member int) vtape.Header {
	f, err := newForm(members, Options{Parity: parity})
	if err != nil {
		panic(err)
	}
	return f.memberHeader(h, member, nil)
}

// Whole tells whether a member's label says that all files are there.
func Whole(h vtape.Header) bool {
	i, err := ParseInfo(h.MemberLine)
	return h.MemberLine == "" || err == nil && !i.Repair
}

// MemberHeaderOf is MemberHeader for other shards.
func MemberHeaderOf(h vtape.Header, members, parity, member int, shard int64) vtape.Header {
	f, err := newForm(members, Options{Parity: parity, ShardBytes: shard})
	if err != nil {
		panic(err)
	}
	return f.memberHeader(h, member, nil)
}

// Line is the line in headers.
func (i Info) Line() string { return i.line() }

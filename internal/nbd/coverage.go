package nbd

// coverage is what of a read has been answered: ranges in order, none touching another. Its zero value is nothing.
type coverage struct {
	spans []span
}

// span is a range of a read's buffer, half open.
type span struct{ from, to int64 }

// add notes a range. One that is empty, or was covered before in any part, breaks the protocol.
func (c *coverage) add(from, to int64) error {
	if from >= to {
		return protocolError("an empty piece in the reply to a read")
	}
	at := len(c.spans)
	for at > 0 && c.spans[at-1].from >= to {
		at-- // servers answer in order: this hardly ever turns
	}
	if at > 0 && c.spans[at-1].to > from {
		return protocolError("bytes from %d to %d of a read come twice", from, to)
	}
	joinsLeft := at > 0 && c.spans[at-1].to == from
	joinsRight := at < len(c.spans) && c.spans[at].from == to
	switch {
	case joinsLeft && joinsRight:
		c.spans[at-1].to = c.spans[at].to
		c.spans = append(c.spans[:at], c.spans[at+1:]...)
	case joinsLeft:
		c.spans[at-1].to = to
	case joinsRight:
		c.spans[at].from = from
	case len(c.spans) == fragmentsMax:
		return protocolError("the reply to a read has over %d gaps", fragmentsMax)
	default:
		c.spans = append(c.spans, span{})
		copy(c.spans[at+1:], c.spans[at:])
		c.spans[at] = span{from, to}
	}
	return nil
}

// is tells whether all bytes up to length are covered.
func (c *coverage) is(length int64) bool {
	return length == 0 || len(c.spans) == 1 && c.spans[0] == span{0, length}
}

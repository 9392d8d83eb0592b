package nbd

import (
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"time"

	"holdfast/internal/nbd/handshake"
)

// receive reads replies until the connection ends; then nobody writes into a buffer any more, and all calls are told.
func (c *conn) receive() {
	defer close(c.done)
	scratch := make([]byte, readBufferBytes)
	var err error
	for err == nil {
		err = c.reply(scratch)
	}
	c.end(err)
	c.mu.Lock()
	defer c.mu.Unlock()
	for cookie, k := range c.pending {
		delete(c.pending, cookie)
		k.err = c.ended
		close(k.finished)
	}
}

// reply reads one simple reply, or one chunk of a structured one.
func (c *conn) reply(scratch []byte) error {
	head := scratch[:simpleBytes]
	if err := c.readFull(head); err != nil {
		return err
	}
	switch magic := binary.BigEndian.Uint32(head); {
	case magic == magicSimple:
		k, cookie, err := c.find(head[8:])
		if err != nil {
			return err
		}
		return c.simple(k, cookie, binary.BigEndian.Uint32(head[4:]), scratch)
	case magic == magicStructured && c.info.Structured:
		head = scratch[:structuredBytes]
		if err := c.readFull(head[simpleBytes:]); err != nil {
			return err
		}
		return c.structured(head, scratch[structuredBytes:])
	default:
		return protocolError("reply with magic %#x", magic)
	}
}

// find looks a call up by the cookie that begins p.
func (c *conn) find(p []byte) (k *call, cookie uint64, err error) {
	cookie = binary.BigEndian.Uint64(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if k = c.pending[cookie]; k == nil {
		return nil, 0, protocolError("reply to a request that is not under way (cookie %#x)", cookie)
	}
	return k, cookie, nil
}

func (c *conn) simple(k *call, cookie uint64, number uint32, scratch []byte) error {
	switch {
	case number != 0:
		k.fail(serverError(number, nil))
	case k.cmd == cmdBlockStatus || k.cmd == cmdRead && c.info.Structured:
		return protocolError("simple reply to %s", k.cmd)
	case k.cmd == cmdRead:
		if err := c.data(k, 0, k.length, scratch); err != nil {
			return err
		}
	}
	return c.finish(k, cookie)
}

// structured deals with a chunk, whose head was read.
func (c *conn) structured(head, scratch []byte) error {
	flags, kind := binary.BigEndian.Uint16(head[4:]), binary.BigEndian.Uint16(head[6:])
	length := int64(binary.BigEndian.Uint32(head[16:]))
	k, cookie, err := c.find(head[8:])
	if err != nil {
		return err
	}
	switch {
	case kind&chunkError != 0:
		err = c.chunkError(k, kind, length, scratch)
	case kind == chunkNone && length == 0 && flags&chunkDone != 0:
	case kind == chunkData && k.cmd == cmdRead && length > 8:
		err = c.chunkData(k, length, scratch)
	case kind == chunkHole && k.cmd == cmdRead && length == 12:
		err = c.chunkHole(k, scratch)
	case kind == chunkBlockStatus && k.cmd == cmdBlockStatus && length >= 12 && length <= statusMax && length%8 == 4:
		err = c.chunkStatus(k, length, scratch)
	default:
		return protocolError("chunk of type %#x with flags %#x and %d bytes in the reply to %s", kind, flags, length, k.cmd)
	}
	if err != nil || flags&chunkDone == 0 {
		return err
	}
	return c.finish(k, cookie)
}

// fail keeps the first error of a call.
func (k *call) fail(err *ServerError) {
	if k.failed == nil {
		k.failed = err
	}
}

// chunkError reads u32 number, u16 length of the text, text, and what more the type has.
func (c *conn) chunkError(k *call, kind uint16, length int64, scratch []byte) error {
	if length < 6 || length > int64(len(scratch)) {
		return protocolError("error of %d bytes", length)
	}
	p := scratch[:length]
	if err := c.readFull(p); err != nil {
		return err
	}
	number, text, rest := binary.BigEndian.Uint32(p), int(binary.BigEndian.Uint16(p[4:])), len(p)-6
	wrong := kind == chunkErrorText && rest != text || kind == chunkErrorOffset && rest != text+8
	if wrong || text > rest || number == 0 {
		return protocolError("error %d of %d bytes with a text of %d", number, length, text)
	}
	k.fail(serverError(number, p[6:6+text]))
	return nil
}

func (c *conn) chunkData(k *call, length int64, scratch []byte) error {
	if err := c.readFull(scratch[:8]); err != nil {
		return err
	}
	at, err := k.within(scratch, length-8)
	if err != nil {
		return err
	}
	return c.data(k, at, length-8, scratch)
}

// within turns the offset that begins p into one of the call's buffer.
func (k *call) within(p []byte, length int64) (at int64, err error) {
	off := binary.BigEndian.Uint64(p)
	if off < uint64(k.offset) || off > uint64(k.offset+k.length) || length > k.offset+k.length-int64(off) {
		return 0, protocolError("%d bytes at %d in the reply to a read of %d at %d", length, off, k.length, k.offset)
	}
	return int64(off) - k.offset, nil
}

// data reads bytes into the call's buffer, or throws them away when nobody waits for them.
func (c *conn) data(k *call, at, length int64, scratch []byte) error {
	if err := k.cover.add(at, at+length); err != nil {
		return err
	}
	if !c.claim(k) {
		return c.discard(length, scratch)
	}
	for p := k.buf[at : at+length]; len(p) > 0; {
		n, err := c.in.Read(p)
		p = p[n:]
		switch {
		case err == nil:
			c.received.Add(1)
		case !c.woken(err):
			c.release(k)
			return handshake.Lost(err)
		case c.givenUp(k):
			c.release(k)
			return c.discard(int64(len(p)), scratch)
		}
	}
	c.release(k)
	return nil
}

// woken tells whether a read was only interrupted by somebody who abandons a call. The deadline is lifted before the
// reader looks whether it is its own call, so that no mark is overlooked.
func (c *conn) woken(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	c.nc.SetReadDeadline(time.Time{})
	return true
}

// claim tells whether the call's buffer may be written; then release must follow.
func (c *conn) claim(k *call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	k.filling = !k.abandoned
	return k.filling
}

func (c *conn) release(k *call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k.filling = false
	if k.idle != nil {
		close(k.idle)
		k.idle = nil
	}
}

func (c *conn) givenUp(k *call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return k.abandoned
}

// chunkHole writes zeros: buffers are used again, so nothing may be left from before.
func (c *conn) chunkHole(k *call, scratch []byte) error {
	if err := c.readFull(scratch[:12]); err != nil {
		return err
	}
	length := int64(binary.BigEndian.Uint32(scratch[8:]))
	at, err := k.within(scratch, length)
	if err != nil {
		return err
	}
	if err := k.cover.add(at, at+length); err != nil {
		return err
	}
	k.zeros += length
	if c.claim(k) {
		clear(k.buf[at : at+length])
		c.release(k)
	}
	return nil
}

// finish ends a call with its last reply, and frees its slot. A reply that says too little ends the connection.
func (c *conn) finish(k *call, cookie uint64) error {
	if err := k.complete(); err != nil {
		return err
	}
	if k.failed != nil {
		k.err = k.failed
	}
	c.mu.Lock()
	delete(c.pending, cookie)
	c.mu.Unlock()
	close(k.finished)
	<-c.slots
	return nil
}

// complete checks that a call that has not failed has all its reply.
func (k *call) complete() error {
	switch {
	case k.failed != nil:
	case k.cmd == cmdRead && !k.cover.is(k.length):
		return protocolError("a read of %d bytes at %d was answered in part", k.length, k.offset)
	case k.cmd == cmdBlockStatus:
		silent := func(s statusRuns) bool { return s.covered == 0 }
		if k.statuses == nil || slices.ContainsFunc(k.statuses, silent) {
			return protocolError("a map at %d has nothing for a meta context", k.offset)
		}
	}
	return nil
}

// readFull fills p, whoever wakes it meanwhile.
func (c *conn) readFull(p []byte) error {
	for len(p) > 0 {
		n, err := c.in.Read(p)
		p = p[n:]
		if err != nil && !c.woken(err) {
			return handshake.Lost(err)
		}
		c.received.Add(1)
	}
	return nil
}

func (c *conn) discard(length int64, scratch []byte) error {
	for length > 0 {
		n := min(length, int64(len(scratch)))
		if err := c.readFull(scratch[:n]); err != nil {
			return err
		}
		length -= n
	}
	return nil
}

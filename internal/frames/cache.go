package frames

import "sync"

// cachedFrames bounds the decoded frames a Reader keeps: 16 MiB. Frames being read right now come on top.
const cachedFrames = 16

// frameCache keeps the frames used last. mu guards all but the contents of a frame, which its fill writes once before
// anyone reads them.
type frameCache struct {
	mu     sync.Mutex
	frames []*cachedFrame // used last comes last
	spare  []byte         // memory of a frame that was dropped
}

// cachedFrame is one decoded frame; users count those who may read data, and the cache itself.
type cachedFrame struct {
	number int
	users  int
	fill   sync.Once
	data   []byte
	err    error
}

// take gives frame number i, still to be filled if it is new; release it after use. Several callers that want the same
// frame at once share one filling.
func (c *frameCache) take(i int) *cachedFrame {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, f := range c.frames {
		if f.number == i {
			copy(c.frames[k:], c.frames[k+1:])
			c.frames[len(c.frames)-1] = f
			f.users++
			return f
		}
	}
	if len(c.frames) == cachedFrames {
		c.drop(0)
	}
	f := &cachedFrame{number: i, users: 2, data: c.spare}
	c.spare = nil
	c.frames = append(c.frames, f)
	return f
}

// release ends a use. A frame that could not be read is forgotten: the next one to ask tries again.
func (c *frameCache) release(f *cachedFrame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.err != nil {
		for k := range c.frames {
			if c.frames[k] == f {
				c.drop(k)
				break
			}
		}
	}
	c.unuse(f)
}

func (c *frameCache) drop(k int) {
	f := c.frames[k]
	c.frames = append(c.frames[:k], c.frames[k+1:]...)
	c.unuse(f)
}

func (c *frameCache) unuse(f *cachedFrame) {
	if f.users--; f.users == 0 {
		c.spare = f.data
	}
}

package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sort"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"holdfast/catalog"
	"holdfast/vtape"
)

// Open opens a file and reads its header. The reader may be used as long as ctx lives.
func (d *Device) Open(ctx context.Context, number int) (vtape.PartReader, error) {
	r, err := d.open(ctx, number)
	if err != nil {
		return nil, fmt.Errorf("open file %d: %s: %w", number, d.where(), err)
	}
	return r, nil
}

func (d *Device) open(ctx context.Context, number int) (*partReader, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if number < 0 {
		return nil, vtape.ErrNoFile
	}
	name := d.labelKey()
	if number > 0 {
		name = d.key(key{kind: header, number: number})
	}
	head, err := d.s.getSmall(ctx, name, vtape.HeaderBytes)
	if errors.Is(err, errNoObject) {
		return nil, vtape.ErrNoFile
	}
	if err != nil {
		return nil, err
	}
	body := head.body
	if number == 0 {
		body = withoutWriter(body)
	}
	r := &partReader{d: d, number: number, raw: padHeader(body)}
	if h, err := vtape.ParseHeader(r.raw); err == nil {
		r.header = h
	}
	if number > 0 {
		if r.pieces, err = d.dataOf(ctx, number); err != nil {
			return nil, err
		}
		// For messages; a label that cannot be read is no reason not to read the data.
		if _, label, err := d.readLabel(ctx); err == nil {
			r.label = label.Label
		}
	}
	if n := len(r.pieces); n > 0 {
		r.size = r.pieces[n-1].offset + r.pieces[n-1].bytes
	}
	r.ctx, r.cancel = context.WithCancel(ctx)
	r.windows = newWindows(r)
	return r, nil
}

// stretch is an object that holds data of a file, from offset on.
type stretch struct {
	key           string
	offset, bytes int64
	etag          string
}

// dataOf finds the data of a file: one object, or Amanda's blocks.
func (d *Device) dataOf(ctx context.Context, number int) ([]stretch, error) {
	var list []stretch
	var whole, end stretch
	var next int64
	prefix := d.prefix + fmt.Sprintf("f%08x-", number)
	err := d.s.eachObject(ctx, prefix, func(name string, o types.Object) error {
		k, ok := parseKey(prefix[len(d.prefix):] + name)
		found := stretch{key: prefix + name, offset: end.offset + end.bytes, bytes: aws.ToInt64(o.Size), etag: aws.ToString(o.ETag)}
		switch {
		case ok && k.kind == data:
			whole = found
			whole.offset = 0
		case ok && k.kind == block && k.block == next:
			next++
			end = found
			list = append(list, found)
		}
		return tooMany(len(list))
	})
	if whole.key != "" {
		list = []stretch{whole}
	}
	return list, err
}

type partReader struct {
	d       *Device
	label   catalog.Label
	number  int
	header  vtape.Header
	raw     []byte
	size    int64
	pieces  []stretch
	ctx     context.Context // that of Open: ReadAt is given none
	cancel  context.CancelFunc
	windows *windows
}

func (r *partReader) Header() vtape.Header { return r.header }

// RawHeader is the header object, filled up with NUL to the block that it stands for.
func (r *partReader) RawHeader() []byte { return r.raw }

func (r *partReader) SizeBytes() int64 { return r.size }

// Close ends what is being read ahead.
func (r *partReader) Close() error {
	r.cancel()
	r.windows.wg.Wait()
	return nil
}

// ReadAt reads the part's data. Whatever keeps bytes from being read is a *vtape.Damage of them, except the end of the
// context.
func (r *partReader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read file %d: negative offset %d", r.number, off)
	}
	want := min(int64(len(p)), max(0, r.size-off))
	n, err := r.windows.read(p[:want], off)
	switch {
	case err == nil && n < len(p):
		return n, io.EOF
	case err == nil:
		return n, nil
	case r.ctx.Err() != nil:
		return n, fmt.Errorf("read file %d: %s: %w", r.number, r.d.where(), r.ctx.Err())
	}
	return n, &vtape.Damage{
		Label: r.label, File: r.number, Offset: vtape.HeaderBytes + off + int64(n), Length: int64(len(p) - n), Err: err,
	}
}

// at gives the index of the stretch that holds the byte at off.
func (r *partReader) at(off int64) int {
	return sort.Search(len(r.pieces), func(i int) bool { return r.pieces[i].offset+r.pieces[i].bytes > off })
}

// fetch reads the bytes from off to end in order and gives them to take. What breaks off is asked for again from where
// it broke, as often as a request is tried, and anew whenever something came.
func (r *partReader) fetch(off, end int64, take func(data []byte)) error {
	buf := make([]byte, fetchBytes)
	left := r.d.s.opts.Attempts
	for off < end {
		n, err := r.fetchOnce(off, end, buf, take)
		off += n
		if off >= end || err == nil && n > 0 {
			continue
		}
		if n > 0 {
			left = r.d.s.opts.Attempts
		}
		left--
		if left <= 0 || !errors.Is(err, errBody) || r.ctx.Err() != nil {
			return err
		}
	}
	return nil
}

// fetchBytes is how much is read from a connection at a time.
const fetchBytes = 128 << 10

// fetchOnce reads from one object, up to end or the object's own.
func (r *partReader) fetchOnce(off, end int64, buf []byte, take func(data []byte)) (n int64, err error) {
	at := r.pieces[r.at(off)]
	end = min(end, at.offset+at.bytes)
	out, err := r.d.s.client.GetObject(r.ctx, &s3.GetObjectInput{
		Bucket: &r.d.s.opts.Bucket, Key: &at.key, IfMatch: optional(at.etag),
		Range: aws.String(fmt.Sprintf("bytes=%d-%d", off-at.offset, end-1-at.offset)),
	})
	if err != nil {
		if err = r.d.s.tell(err); errors.Is(err, ErrTaken) {
			err = errors.New("the object was written anew while it was read")
		}
		return 0, err
	}
	defer out.Body.Close()
	// A server that does not heed ranges would give other bytes.
	if got := aws.ToInt64(out.ContentLength); got != end-off {
		return 0, fmt.Errorf("%d bytes in answer to a range of %d: %w", got, end-off, io.ErrUnexpectedEOF)
	}
	for off+n < end {
		got, err := out.Body.Read(buf[:min(int64(len(buf)), end-off-n)])
		take(buf[:got])
		n += int64(got)
		if off+n < end && err != nil {
			return n, fmt.Errorf("%w: %w", errBody, err)
		}
	}
	return n, nil
}

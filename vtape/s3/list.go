package s3

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"holdfast/vtape"
)

const (
	// maxFiles is how many files of a volume are listed, and maxBlocks how many blocks of one of Amanda's; more is damage.
	maxFiles  = 1 << 20
	maxBlocks = 1 << 22
)

var (
	errTooMany = errors.New("more objects than a volume has")
	errLoop    = errors.New("the store's listing does not end")
)

// eachObject calls fn for the objects whose keys begin with prefix, in order of the keys; name is the key without it.
func (s *Store) eachObject(ctx context.Context, prefix string, fn func(name string, o types.Object) error) error {
	in := &s3.ListObjectsV2Input{Bucket: &s.opts.Bucket, Prefix: &prefix}
	for {
		out, err := s.client.ListObjectsV2(ctx, in)
		if err != nil {
			return s.tell(err)
		}
		for _, o := range out.Contents {
			name, ok := strings.CutPrefix(aws.ToString(o.Key), prefix)
			if !ok {
				continue
			}
			if err := fn(name, o); err != nil {
				return err
			}
		}
		if !aws.ToBool(out.IsTruncated) {
			return nil
		}
		next := out.NextContinuationToken
		if next == nil || in.ContinuationToken != nil && *next == *in.ContinuationToken {
			return errLoop
		}
		in.ContinuationToken = next
	}
}

// entry is what there is of a file.
type entry struct {
	number int
	// header and data tell whether the header object, and an -mp.data object, is there.
	header, data bool
	headerBytes  int64
	bytes        int64 // of the data
	blocks       int64 // that follow one another from 0
	objects      int
}

// add counts an object in. Blocks come in order; those behind a gap are none, as Amanda reads.
func (e *entry) add(k key, bytes int64) {
	e.objects++
	switch {
	case k.kind == header:
		e.header, e.headerBytes = true, bytes
	case k.kind == data:
		e.data, e.bytes = true, bytes // in place of blocks, if there are any
	case !e.data && k.block == e.blocks:
		e.bytes += bytes
		e.blocks++
	}
}

// entries lists what there is of files, in order of the numbers, also what has no header.
func (d *Device) entries(ctx context.Context) ([]entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	all := make(tally)
	err := d.s.eachObject(ctx, d.prefix, all.count)
	if err != nil {
		return nil, err
	}
	return all.list(), nil
}

// tally counts the objects of a volume, by the number of the file.
type tally map[int]*entry

// count counts an object in, if it is one of a file. Name is its key without what the volume's begin with.
func (t tally) count(name string, o types.Object) error {
	k, ok := parseKey(name)
	if !ok {
		return nil
	}
	e := t[k.number]
	if e == nil {
		if len(t) >= maxFiles {
			return errTooMany
		}
		e = &entry{number: k.number}
		t[k.number] = e
	}
	e.add(k, aws.ToInt64(o.Size))
	return nil
}

// list gives the files in order of the numbers.
func (t tally) list() []entry {
	list := make([]entry, 0, len(t))
	for _, e := range t {
		list = append(list, *e)
	}
	slices.SortFunc(list, func(a, b entry) int { return a.number - b.number })
	return list
}

// object is a version of an object. Where the bucket keeps none, version is empty and etag tells what was listed from what has
// been written in its place since.
type object struct {
	key, version string
	etag         string
	latest       bool
	marker       bool // of a deletion
}

// objects lists all objects whose keys begin with prefix, with their versions where the bucket keeps some.
func (s *Store) objects(ctx context.Context, prefix string) ([]object, error) {
	versioned, err := s.versioned(ctx)
	if err != nil {
		return nil, err
	}
	var list []object
	if !versioned {
		err := s.eachObject(ctx, prefix, func(name string, o types.Object) error {
			list = append(list, object{key: prefix + name, etag: aws.ToString(o.ETag), latest: true})
			return tooMany(len(list))
		})
		return list, err
	}
	pages := s3.NewListObjectVersionsPaginator(s.client, &s3.ListObjectVersionsInput{Bucket: &s.opts.Bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		out, err := pages.NextPage(ctx)
		if err != nil {
			return nil, s.tell(err)
		}
		for _, v := range out.Versions {
			list = append(list, object{key: aws.ToString(v.Key), version: aws.ToString(v.VersionId), latest: aws.ToBool(v.IsLatest)})
		}
		for _, m := range out.DeleteMarkers {
			list = append(list, object{
				key: aws.ToString(m.Key), version: aws.ToString(m.VersionId), latest: aws.ToBool(m.IsLatest), marker: true,
			})
		}
		if err := tooMany(len(list)); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func tooMany(n int) error {
	if n > maxBlocks {
		return errTooMany
	}
	return nil
}

// versioned tells whether the bucket keeps versions of objects, so that a removal must name them. A store that does
// not know the question keeps none; where we may not ask, we go by what we may see.
func (s *Store) versioned(ctx context.Context) (bool, error) {
	out, err := s.client.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &s.opts.Bucket})
	err = s.tell(err)
	switch {
	case errors.Is(err, errNotOffered), errors.Is(err, ErrDenied) && s.opts.LockMode == "":
		return false, nil
	case err != nil:
		return false, fmt.Errorf("ask for versioning: %w", err)
	}
	return out.Status != "", nil
}

// files gives the entries that are files: those with a header.
func files(list []entry) []vtape.File {
	var files []vtape.File
	for _, e := range list {
		if e.header && e.number >= 1 {
			files = append(files, vtape.File{Number: e.number, Bytes: e.bytes})
		}
	}
	return files
}

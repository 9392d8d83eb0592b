package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"
)

// remove removes objects, or the versions of them that are named; what is gone already is no error, and what has been written
// anew since it was listed stays and gives ErrTaken, unless the store knows no such condition. The versions of one
// key go one after another, the latest at the end: without it an older one would show again.
func (s *Store) remove(ctx context.Context, list []object) error {
	byKey := make(map[string][]object)
	for _, o := range list {
		byKey[o.key] = append(byKey[o.key], o)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(s.opts.Connections)
	for _, versions := range byKey {
		slices.SortStableFunc(versions, func(a, b object) int { return cmp.Compare(rank(a), rank(b)) })
		g.Go(func() error {
			for _, o := range versions {
				if err := s.removeOne(ctx, o); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

func rank(o object) int {
	if o.latest {
		return 1
	}
	return 0
}

func (s *Store) removeOne(ctx context.Context, o object) error {
	in := &s3.DeleteObjectInput{Bucket: &s.opts.Bucket, Key: &o.key, VersionId: optional(o.version), IfMatch: optional(o.etag)}
	_, err := s.client.DeleteObject(ctx, in)
	if err = s.tell(err); in.IfMatch != nil && errors.Is(err, errNotOffered) {
		in.IfMatch = nil
		_, err = s.client.DeleteObject(ctx, in)
		err = s.tell(err)
	}
	if err != nil && !errors.Is(err, errNoObject) {
		return fmt.Errorf("remove %s: %w", o.key, err)
	}
	return nil
}

// CleanUp removes what writers that were interrupted have left on the volume: unfinished uploads, data without a
// header, and old versions of either, as far as no lock keeps them. It counts them. Nobody may be writing to the volume,
// and an upload that is aborted cannot be resumed.
func (d *Device) CleanUp(ctx context.Context) (removed int, err error) {
	removed, err = d.cleanUp(ctx)
	if err != nil {
		return removed, fmt.Errorf("clean up: %s: %w", d.where(), err)
	}
	return removed, nil
}

// Litter counts what CleanUp would remove.
func (d *Device) Litter(ctx context.Context) (int, error) {
	uploads, err := d.unended(ctx)
	if err != nil {
		return 0, fmt.Errorf("look for litter: %s: %w", d.where(), err)
	}
	orphans, err := d.freeOrphans(ctx)
	if err != nil {
		return 0, fmt.Errorf("look for litter: %s: %w", d.where(), err)
	}
	return len(uploads) + len(orphans), nil
}

func (d *Device) cleanUp(ctx context.Context) (removed int, err error) {
	if removed, err = d.abortUploads(ctx); err != nil {
		return removed, err
	}
	orphans, err := d.freeOrphans(ctx)
	if err != nil {
		return removed, err
	}
	if err := d.s.remove(ctx, orphans); err != nil {
		return removed, err
	}
	return removed + len(orphans), nil
}

// freeOrphans gives the orphans that no lock keeps.
func (d *Device) freeOrphans(ctx context.Context) ([]object, error) {
	list, err := d.s.objects(ctx, d.prefix+filesPrefix)
	if err != nil {
		return nil, err
	}
	return d.unlocked(ctx, d.orphans(list))
}

// orphans gives what is not of a file: data without a header, and what is not the latest version.
func (d *Device) orphans(list []object) []object {
	whole := make(map[int]bool)
	for _, o := range list {
		if k, ok := d.parse(o); ok && k.kind == header && o.latest && !o.marker {
			whole[k.number] = true
		}
	}
	var orphans []object
	for _, o := range list {
		k, ok := d.parse(o)
		if ok && (!o.latest || o.marker || !whole[k.number]) {
			orphans = append(orphans, o)
		}
	}
	return orphans
}

func (d *Device) parse(o object) (key, bool) { return parseKey(o.key[len(d.prefix):]) }

// abortUploads aborts all unfinished uploads of the volume, and counts them.
func (d *Device) abortUploads(ctx context.Context) (aborted int, err error) {
	list, err := d.unended(ctx)
	if err != nil {
		return 0, err
	}
	for _, u := range list {
		if err := d.s.abort(ctx, u.key, u.id); err != nil {
			return aborted, err
		}
		aborted++
	}
	return aborted, nil
}

// unended lists the uploads of the volume that were never ended.
func (d *Device) unended(ctx context.Context) ([]unfinished, error) {
	list, err := d.s.uploads(ctx, d.prefix+filesPrefix)
	return slices.DeleteFunc(list, func(u unfinished) bool {
		_, ok := parseKey(u.key[len(d.prefix):])
		return !ok
	}), err
}

// abortTries is how often an upload is aborted: a piece that was under way may outlive the first time.
const abortTries = 3

func (s *Store) abort(ctx context.Context, key, id string) error {
	for range abortTries {
		_, err := s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &s.opts.Bucket, Key: &key, UploadId: &id})
		if err = s.tell(err); err == nil {
			_, err = s.client.ListParts(ctx, &s3.ListPartsInput{Bucket: &s.opts.Bucket, Key: &key, UploadId: &id})
			err = s.tell(err)
		}
		switch {
		case errors.Is(err, errNoUpload) || errors.Is(err, errNoObject):
			return nil
		case err != nil:
			return fmt.Errorf("abort upload of %s: %w", key, err)
		}
	}
	return fmt.Errorf("abort upload of %s: it is still there", key)
}

// unfinished is a multipart upload that was neither completed nor aborted.
type unfinished struct{ key, id string }

// uploads lists the unfinished uploads whose keys begin with prefix.
func (s *Store) uploads(ctx context.Context, prefix string) ([]unfinished, error) {
	var list []unfinished
	pages := s3.NewListMultipartUploadsPaginator(s.client, &s3.ListMultipartUploadsInput{Bucket: &s.opts.Bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		out, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list uploads: %w", s.tell(err))
		}
		for _, u := range out.Uploads {
			list = append(list, unfinished{aws.ToString(u.Key), aws.ToString(u.UploadId)})
		}
		if err := tooMany(len(list)); err != nil {
			return nil, err
		}
	}
	return list, nil
}

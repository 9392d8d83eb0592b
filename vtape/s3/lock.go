package s3

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"
)

// LockedUntil gives the latest time until which an object of the volume is locked, old versions included; the zero time
// when none is locked now. A legal hold has no end: it is told as the last day of the year 9999.
func (d *Device) LockedUntil(ctx context.Context) (time.Time, error) {
	until, err := d.lockedUntil(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("read locks: %s: %w", d.where(), err)
	}
	return until, nil
}

// lockedUntil gives the zero time for locks that are over.
func (d *Device) lockedUntil(ctx context.Context) (until time.Time, err error) {
	if locks, err := d.s.locks(ctx); err != nil || !locks {
		return time.Time{}, err
	}
	labels, err := d.s.objects(ctx, d.labelKey())
	if err != nil {
		return time.Time{}, err
	}
	parts, err := d.s.objects(ctx, d.prefix+filesPrefix)
	if err != nil {
		return time.Time{}, err
	}
	err = d.eachLock(ctx, append(labels, d.ofFiles(parts)...), func(_ object, end time.Time) {
		if end.After(until) && end.After(d.s.opts.Now()) {
			until = end
		}
	})
	return until, err
}

// checkLocks gives ErrLocked if an object of the volume is locked now.
func (d *Device) checkLocks(ctx context.Context) error {
	until, err := d.lockedUntil(ctx)
	if err != nil {
		return err
	}
	switch {
	case until.Equal(holdEnd()):
		return fmt.Errorf("%w by a legal hold", ErrLocked)
	case !until.IsZero():
		return fmt.Errorf("%w until %s", ErrLocked, until.UTC().Format(time.RFC3339))
	}
	return nil
}

// unlocked leaves out what is locked now.
func (d *Device) unlocked(ctx context.Context, list []object) ([]object, error) {
	locks, err := d.s.locks(ctx)
	if err != nil || !locks {
		return list, err
	}
	var free []object
	err = d.eachLock(ctx, list, func(o object, end time.Time) {
		if !end.After(d.s.opts.Now()) {
			free = append(free, o)
		}
	})
	return free, err
}

// eachLock asks for the locks of objects and calls fn with each, one at a time: the zero time for none.
func (d *Device) eachLock(ctx context.Context, list []object, fn func(o object, end time.Time)) error {
	var mu sync.Mutex // held while fn runs
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(d.s.opts.Connections)
	for _, o := range list {
		g.Go(func() error {
			end, err := d.s.lockOf(ctx, o)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			fn(o, end)
			return nil
		})
	}
	return g.Wait()
}

func (s *Store) lockOf(ctx context.Context, o object) (end time.Time, err error) {
	if o.marker {
		return end, nil
	}
	head, err := s.head(ctx, o.key, o.version)
	switch {
	case errors.Is(err, errNoObject):
		return end, nil
	case err != nil:
		return end, fmt.Errorf("%s: %w", o.key, err)
	case head.ObjectLockLegalHoldStatus == types.ObjectLockLegalHoldStatusOn:
		return holdEnd(), nil
	}
	return aws.ToTime(head.ObjectLockRetainUntilDate), nil
}

func holdEnd() time.Time { return time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC) }

// locks tells whether objects of the bucket can be locked. Where we may not ask and lock nothing ourselves, we take it
// that they are not: a removal of one that is would be refused by the store.
func (s *Store) locks(ctx context.Context) (bool, error) {
	out, err := s.client.GetObjectLockConfiguration(ctx, &s3.GetObjectLockConfigurationInput{Bucket: &s.opts.Bucket})
	err = s.tell(err)
	switch {
	case errors.Is(err, errNoLock), errors.Is(err, errNotOffered), errors.Is(err, errNoObject),
		errors.Is(err, ErrDenied) && s.opts.LockMode == "":
		return false, s.needLock()
	case err != nil:
		return false, fmt.Errorf("ask for object lock: %w", err)
	}
	enabled := out.ObjectLockConfiguration != nil &&
		out.ObjectLockConfiguration.ObjectLockEnabled == types.ObjectLockEnabledEnabled
	if !enabled {
		return false, s.needLock()
	}
	return true, nil
}

// needLock is an error where volumes shall be locked in a bucket that cannot.
func (s *Store) needLock() error {
	if s.opts.LockMode == "" {
		return nil
	}
	return fmt.Errorf("bucket %s has no object lock: it must be made with it", s.opts.Bucket)
}

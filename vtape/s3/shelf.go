package s3

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"holdfast/vtape"
)

// markerText is what the object that marks a library begins with; the name of its storage follows. Libraries in
// directories have the same.
const markerText = "holdfast library of storage "

const (
	maxMarkerBytes = 4096
	maxSlots       = 1 << 20
)

// Shelf is numbered slots in a store, for a library to stand on. The volume of slot N has keys that begin with slotN-
// after the store's prefix, so Amanda's `chg-multi:s3:BUCKET/<prefix>slot{1,2,3}-` reads them. Volumes that somebody else
// has written may have other names.
type Shelf struct {
	s       *Store
	storage string
	slots   int
	// names are what the keys of the volumes begin with, after the store's prefix; nil: slot1- and so on.
	names []string
}

// Shelf gives the library of a storage with that many slots. It sends no request.
func (s *Store) Shelf(storage string, slots int) *Shelf {
	return &Shelf{s: s, storage: storage, slots: slots}
}

// NamedShelf gives a library whose slot N holds the volume with keys that begin with the N-th name after the store's prefix. No
// name may begin with another. It sends no request.
func (s *Store) NamedShelf(storage string, names []string) *Shelf {
	return &Shelf{s: s, storage: storage, slots: len(names), names: names}
}

func (l *Shelf) where() string { return l.s.where() + "/" + l.s.opts.Prefix }

func (l *Shelf) markerKey() string { return l.s.opts.Prefix + markerName }

// Check makes sure that the library was made, and for this storage. It gives vtape.ErrAbsent when it was not, when the
// bucket is not there, or when the server cannot be reached.
func (l *Shelf) Check(ctx context.Context) error {
	if err := l.check(ctx); err != nil {
		return fmt.Errorf("open library: %s: %w", l.where(), err)
	}
	return nil
}

func (l *Shelf) check(ctx context.Context) error {
	got, err := l.s.getSmall(ctx, l.markerKey(), maxMarkerBytes)
	if errors.Is(err, errNoObject) {
		return fmt.Errorf("%w: no %s there: was the library made?", vtape.ErrAbsent, markerName)
	}
	if err != nil {
		return err
	}
	storage, ok := strings.CutPrefix(strings.TrimSuffix(string(got.body), "\n"), markerText)
	if !ok {
		return fmt.Errorf("%s is damaged: want %q, have %.80q", markerName, markerText+l.storage, got.body)
	}
	if storage != l.storage {
		return fmt.Errorf("the library is that of storage %q, not of %q", storage, l.storage)
	}
	return nil
}

// Create makes the library unless it is there; of two that make it at once for different storages one gets an error.
func (l *Shelf) Create(ctx context.Context) error {
	if err := l.create(ctx); err != nil {
		return fmt.Errorf("create library: %s: %w", l.where(), err)
	}
	return nil
}

func (l *Shelf) create(ctx context.Context) error {
	_, err := l.s.getSmall(ctx, l.markerKey(), maxMarkerBytes)
	if errors.Is(err, errNoObject) {
		p := put{key: l.markerKey(), body: []byte(markerText + l.storage + "\n")}
		_, err = l.s.put(ctx, p)
		if errors.Is(err, errNotOffered) && l.s.opts.AllowUnconditional {
			p.cond.none = true
			_, err = l.s.put(ctx, p)
		}
		if err == nil {
			return nil
		}
	}
	if err != nil && !errors.Is(err, ErrTaken) {
		return err
	}
	return l.check(ctx)
}

// Slots names the slots in order: those that are called for, and those that hold something besides.
func (l *Shelf) Slots(ctx context.Context) ([]string, error) {
	slots, err := l.list(ctx)
	if err != nil {
		return nil, fmt.Errorf("list slots: %s: %w", l.where(), err)
	}
	return slots, nil
}

func (l *Shelf) list(ctx context.Context) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var numbers []int
	for n := 1; n <= l.slots; n++ {
		numbers = append(numbers, n)
	}
	if l.names != nil {
		return inOrder(numbers), nil
	}
	// The delimiter makes one line of all the objects of a slot.
	pages := s3.NewListObjectsV2Paginator(l.s.client, &s3.ListObjectsV2Input{
		Bucket: &l.s.opts.Bucket, Prefix: aws.String(l.s.opts.Prefix + "slot"), Delimiter: aws.String("-"),
	})
	for pages.HasMorePages() {
		out, err := pages.NextPage(ctx)
		if err != nil {
			return nil, l.s.tell(err)
		}
		for _, p := range out.CommonPrefixes {
			n, ok := parseSlot(strings.TrimPrefix(aws.ToString(p.Prefix), l.s.opts.Prefix))
			if ok && n > l.slots {
				numbers = append(numbers, n)
			}
		}
		if len(numbers) > maxSlots {
			return nil, errTooMany
		}
	}
	return inOrder(numbers), nil
}

// inOrder names slots.
func inOrder(numbers []int) []string {
	slices.Sort(numbers)
	slots := make([]string, len(numbers))
	for i, n := range numbers {
		slots[i] = strconv.Itoa(n)
	}
	return slots
}

// Device gives the volume in a slot.
func (l *Shelf) Device(slot string) vtape.Device { return l.s.Device(l.name(slot)) }

// name is what the keys of a slot's volume begin with, after the store's prefix. A slot that there is none of has a name, too.
func (l *Shelf) name(slot string) string {
	if n, err := strconv.Atoi(slot); err == nil && 0 < n && n <= len(l.names) {
		return l.names[n-1]
	}
	return slotPrefix(slot)
}

// SetCurrent does nothing: a bucket has no loaded slot.
func (l *Shelf) SetCurrent(context.Context, string) error { return nil }

// CleanUp removes what interrupted writers have left in all slots; see Device.CleanUp.
func (l *Shelf) CleanUp(ctx context.Context) (removed int, err error) {
	slots, err := l.list(ctx)
	if err != nil {
		return 0, fmt.Errorf("clean up: %s: %w", l.where(), err)
	}
	for _, slot := range slots {
		n, err := l.s.Device(l.name(slot)).CleanUp(ctx)
		removed += n
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}

package s3

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"holdfast/vtape"
)

var _ vtape.Surveyor = (*Shelf)(nil)

// survey collects what a listing of the whole library tells of its slots.
type survey struct {
	l *Shelf
	// sorted are the names of volumes that do not have ours, in order, and number tells the slot of each.
	sorted []string
	number map[string]int
	slots  map[int]*surveyed
}

type surveyed struct {
	label bool
	files tally
}

// Survey lists the objects of all slots at once: a request for each thousand, where slot by slot it takes one or two for each
// slot. It gives vtape.ErrAbsent as Slots does.
func (l *Shelf) Survey(ctx context.Context) ([]vtape.Surveyed, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := survey{l: l, sorted: slices.Sorted(slices.Values(l.names)), number: map[string]int{}, slots: map[int]*surveyed{}}
	for n := 1; n <= l.slots; n++ {
		s.slots[n] = &surveyed{files: tally{}}
	}
	for i, name := range l.names {
		s.number[name] = i + 1
	}
	common := "slot"
	if len(s.sorted) > 0 {
		common = commonPrefix(s.sorted[0], s.sorted[len(s.sorted)-1])
	}
	err := l.s.eachObject(ctx, l.s.opts.Prefix+common, func(rest string, o types.Object) error { return s.count(common+rest, o) })
	if err != nil {
		return nil, fmt.Errorf("list volumes: %s: %w", l.where(), err)
	}
	return s.told(), nil
}

// commonPrefix is what both words begin with.
func commonPrefix(a, b string) string {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return a[:n]
}

// count counts an object in. Key is without the store's prefix.
func (s *survey) count(key string, o types.Object) error {
	n, name, ok := s.slotOf(key)
	if !ok {
		return nil
	}
	slot := s.slots[n]
	if slot == nil {
		if len(s.slots) >= maxSlots {
			return errTooMany
		}
		slot = &surveyed{files: tally{}}
		s.slots[n] = slot
	}
	if name == labelName {
		slot.label = true
	}
	return slot.files.count(name, o)
}

// slotOf tells which slot a key belongs to, and gives what is left of it.
func (s *survey) slotOf(key string) (n int, rest string, ok bool) {
	if s.l.names == nil {
		n, ok = parseSlot(key)
		return n, strings.TrimPrefix(key, slotPrefix(strconv.Itoa(n))), ok
	}
	i, found := slices.BinarySearch(s.sorted, key)
	if !found {
		i-- // the last name before the key: none begins with another
	}
	if i < 0 {
		return 0, "", false
	}
	rest, ok = strings.CutPrefix(key, s.sorted[i])
	return s.number[s.sorted[i]], rest, ok
}

// told gives the slots in their order.
func (s *survey) told() []vtape.Surveyed {
	var list []vtape.Surveyed
	numbers := make([]int, 0, len(s.slots))
	for n := range s.slots {
		numbers = append(numbers, n)
	}
	for _, slot := range inOrder(numbers) {
		n, _ := strconv.Atoi(slot) // it was made of one
		found := s.slots[n].files.list()
		list = append(list, vtape.Surveyed{Slot: slot, Blank: !s.slots[n].label && len(found) == 0, Files: files(found)})
	}
	return list
}

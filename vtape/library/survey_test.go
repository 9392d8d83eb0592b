package library_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/internal/vfs"
	"holdfast/vtape"
	"holdfast/vtape/devicetest"
	"holdfast/vtape/dir"
	"holdfast/vtape/library"
)

// surveyed is a shelf that tells all at once, and counts how often it is asked for a slot all the same.
type surveyed struct {
	*dir.Shelf
	asked []string
}

func (s *surveyed) Device(slot string) vtape.Device {
	s.asked = append(s.asked, slot)
	return s.Shelf.Device(slot)
}

func (s *surveyed) Survey(ctx context.Context) ([]vtape.Surveyed, error) {
	slots, err := s.Slots(ctx)
	var list []vtape.Surveyed
	for _, slot := range slots {
		_, labelErr := s.Shelf.Device(slot).ReadLabel(ctx)
		files, filesErr := s.Shelf.Device(slot).Files(ctx)
		err = errors.Join(err, filesErr)
		list = append(list, vtape.Surveyed{Slot: slot, Blank: errors.Is(labelErr, vtape.ErrBlank), Files: files})
	}
	return list, err
}

// The inventory of a shelf that tells all at once is the same, and its blank slots are not looked into.
func TestSurveyedInventory(t *testing.T) {
	mem := vfs.NewMem()
	l := create(t, mem, 3)
	dev := label(t, l, "2", "DEMO-001")
	devicetest.Write(t, dev, 1, devicetest.Header(1), devicetest.Data(1, 1000))
	s := &surveyed{Shelf: shelf(mem, 3)}
	got := inventory(t, library.New(s, library.Options{Storage: "vtapes", Label: "DEMO-%%%"}))
	if diff := cmp.Diff(inventory(t, l), got); diff != "" {
		t.Errorf("-slot by slot +surveyed:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"2"}, s.asked); diff != "" {
		t.Errorf("looked into (-want +got):\n%s", diff)
	}
}

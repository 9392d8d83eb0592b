package run_test

import (
	"testing"
)

// A week of nights: fulls, incrementals, fulls again on volumes that are reused.
func TestNights(t *testing.T) {
	im := newImages(t, 7)
	s := newSite(t, im, siteYAML)
	defer s.close()
	for night := range 7 {
		r := s.goodNight(night)
		if night < 3 {
			t.Log(reportText(r))
		}
		s.checkDone("after the night")
		s.checkLatest("after the night", r.Head.Stamp)
		s.checkTidy("after the night")
	}
}

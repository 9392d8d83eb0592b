package rait

import (
	"errors"
	"fmt"
	"iter"
	"strings"

	"holdfast/vtape"
)

// FaultKind tells what is the matter with a member.
type FaultKind string

// The kinds of faults.
const (
	// FaultMissing: the member, its volume or the file is not there.
	FaultMissing FaultKind = "missing"
	// FaultStale: the member holds the volume as it was before, or has not been written anew wholly.
	FaultStale FaultKind = "stale"
	// FaultForeign: the member holds something else. It is left alone.
	FaultForeign FaultKind = "foreign"
	// FaultFailed: reading or writing gave an error.
	FaultFailed FaultKind = "failed"
	// FaultShort: the file ends too early, or too late.
	FaultShort FaultKind = "short"
	// FaultHeader: the file's header is damaged, or not the one that the others have.
	FaultHeader FaultKind = "header"
	// FaultWrong: bytes are not those that were written.
	FaultWrong FaultKind = "wrong"
)

// MemberFault says what is the matter with a member of a set.
type MemberFault struct {
	// Member is its name, Index its place from 0. Index is -1 when it cannot be told which member it is.
	Member string
	Index  int
	Kind   FaultKind
	// File is the number of the file; 0 when it is the volume as a whole, or the label.
	File int
	Err  error
}

// Error names the member and the file.
func (f MemberFault) Error() string {
	what := "member " + f.Member
	if f.Index < 0 {
		what = "some member"
	}
	if f.File > 0 {
		what += fmt.Sprintf(" file %d", f.File)
	}
	return fmt.Sprintf("%s: %s: %v", what, f.Kind, f.Err)
}

// Unwrap gives the cause.
func (f MemberFault) Unwrap() error { return f.Err }

// taken gives the fault of a member that another writer has taken. It is not one to be done without: that writer is about to have
// the whole set.
func taken(faults []MemberFault) error {
	for _, f := range faults {
		if errors.Is(f.Err, vtape.ErrTaken) {
			return f
		}
	}
	return nil
}

// told gives faults as vtape knows them.
func told(faults []MemberFault) []vtape.MemberFault {
	var list []vtape.MemberFault
	for _, f := range faults {
		known := vtape.MemberFault{Member: f.Member, Err: fmt.Errorf("%s: %w", f.Kind, f.Err)}
		if f.Index < 0 {
			known.Member = ""
		}
		list = append(list, known)
	}
	return list
}

// TooFew is the error when more members are gone than the set can do without.
type TooFew struct {
	// Members and Need are how many the set has, and must have.
	Members, Need int
	Faults        []MemberFault
}

// Error names the members that are gone.
func (e *TooFew) Error() string {
	var list []string
	for _, f := range e.Faults {
		list = append(list, f.Error())
	}
	return fmt.Sprintf("%d of %d members are missing or damaged, at most %d may be: %s",
		len(e.Faults), e.Members, e.Members-e.Need, strings.Join(list, "; "))
}

// Is tells whether a member has the fault. A set is never blank because some members are: it must not be overwritten.
func (e *TooFew) Is(target error) bool {
	if target == vtape.ErrBlank || target == vtape.ErrEndOfMedium {
		return false
	}
	for _, f := range e.Faults {
		if errors.Is(f.Err, target) {
			return true
		}
	}
	return false
}

// kindOf guesses the kind of fault from a device's error.
func kindOf(err error) FaultKind {
	for kind, causes := range map[FaultKind][]error{
		FaultMissing: {vtape.ErrAbsent, vtape.ErrNoFile, vtape.ErrBlank},
		FaultForeign: {vtape.ErrForeign, errOtherSet, errOtherLabel},
		FaultStale:   {errUnrepaired, errStale},
	} {
		for _, cause := range causes {
			if errors.Is(err, cause) {
				return kind
			}
		}
	}
	return FaultFailed
}

// choices gives every choice of t numbers below n, each in rising order. The slice is used again.
func choices(n, t int) iter.Seq[[]int] {
	return func(yield func([]int) bool) {
		choice := make([]int, t)
		for i := range choice {
			choice[i] = i
		}
		for t <= n {
			if !yield(choice) {
				return
			}
			i := t - 1
			for i >= 0 && choice[i] == n-t+i {
				i--
			}
			if i < 0 {
				return
			}
			choice[i]++
			for j := i + 1; j < t; j++ {
				choice[j] = choice[j-1] + 1
			}
		}
	}
}

package recovery

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"holdfast/catalog"
	"holdfast/vtape"
)

// MemberFinding is what is wrong with one member of a parity set. The dump may be whole all the same.
type MemberFinding struct {
	// Label is the volume; File the file on it, 0 when the member lacks the volume as a whole.
	Label catalog.Label `json:"label"`
	File  int           `json:"file,omitempty"`
	// Member is its name in the configuration; empty when it cannot be told which one it is.
	Member string `json:"member,omitempty"`
	Error  string `json:"error"`
}

// String names the volume, the file and the member.
func (f MemberFinding) String() string {
	where, member := fmt.Sprintf("volume %s", f.Label), "member "+f.Member
	if f.File > 0 {
		where += fmt.Sprintf(" file %d", f.File)
	}
	if f.Member == "" {
		member = "some member"
	}
	return fmt.Sprintf("%s: %s: %s", where, member, f.Error)
}

// verifyMembers checks the parity of a copy's parts where they lie on parity sets. Reading the data takes no parity, and
// what is wrong with it would show only when a member is lost. Parts whose data were found damaged are read once more
// with their checksums, which tell of more members.
func (s *Site) verifyMembers(ctx context.Context, c copyStream, damaged map[int]bool) (found []MemberFinding, err error) {
	whole := map[MemberFinding]bool{} // members that lack a volume are told of once
	for i, p := range c.copy.Parts {
		dev, openErr := c.open(ctx, p.Label)
		set, ok := dev.(vtape.PartChecker)
		if openErr != nil || !ok {
			continue // that it is not there was told
		}
		faults, checkErr := checkPart(ctx, set, p, damaged[i])
		if ctx.Err() != nil {
			return found, ctx.Err()
		}
		if checkErr != nil {
			err = errors.Join(err, fmt.Errorf("volume %s: %w", p.Label, checkErr))
		}
		gone := map[string]bool{}
		if d, ok := dev.(vtape.Degradable); ok {
			for _, f := range d.Degraded() {
				gone[f.Member] = true
			}
		}
		for _, f := range faults {
			finding := MemberFinding{Label: p.Label, File: p.File, Member: f.Member, Error: f.Err.Error()}
			if gone[f.Member] {
				finding.File = 0
			}
			if whole[finding] {
				continue
			}
			whole[finding] = true
			found = append(found, finding)
		}
	}
	return found, err
}

// checkPart reckons a part's parity. Its data were compared with the checksum before, so that the checksum is only asked
// where something is wrong and it does not show on which member.
func checkPart(ctx context.Context, set vtape.PartChecker, p catalog.Part, damaged bool) ([]vtape.MemberFault, error) {
	if !damaged {
		faults, err := set.CheckPart(ctx, catalog.Part{Label: p.Label, File: p.File})
		unknown := slices.ContainsFunc(faults, func(f vtape.MemberFault) bool { return f.Member == "" })
		if err != nil || !unknown || p.CRC == 0 {
			return faults, err
		}
	}
	return set.CheckPart(ctx, p)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"holdfast/internal/vfs"
	"holdfast/scheduler/recovery"
)

// missingMember stands in a parity set, in Amanda's notation, for a member that is not there.
const missingMember = "MISSING"

// mediaPlace is a place of --from-media: a directory, or what Amanda's notation names.
type mediaPlace struct {
	text string
	// kind is "dir", "s3" or "rait".
	kind string
	// path is the directory, or BUCKET/PREFIX.
	path string
	// members of a parity set in their order; nil for one that is missing.
	members []*mediaPlace
}

// parsePlace reads DIR, file:DIR, s3:BUCKET/PREFIX or rait:{PLACE,PLACE,MISSING}.
func parsePlace(text string) (mediaPlace, error) {
	kind, rest, found := strings.Cut(text, ":")
	p := mediaPlace{text: text, kind: kind, path: rest}
	switch {
	case !found || kind != "file" && kind != "s3" && kind != "rait":
		p.kind, p.path = "dir", text
	case kind == "file":
		p.kind = "dir"
	case kind == "rait":
		return parseSet(p)
	}
	if p.path == "" {
		return p, usagef("media %q: a directory, s3:BUCKET/PREFIX or rait:{DIR,DIR,...} is wanted", text)
	}
	if p.kind == "dir" {
		path, err := filepath.Abs(p.path)
		if err != nil {
			return p, err
		}
		p.path = path
	}
	return p, nil
}

func parseSet(p mediaPlace) (mediaPlace, error) {
	inner, open := strings.CutPrefix(p.path, "{")
	inner, closed := strings.CutSuffix(inner, "}")
	if !open || !closed || strings.ContainsAny(inner, "{}") {
		return p, usagef("media %q: want rait:{DIR,DIR,...}, %s in place of a member that is not there", p.text, missingMember)
	}
	there := 0
	for member := range strings.SplitSeq(inner, ",") {
		if member == missingMember {
			p.members = append(p.members, nil)
			continue
		}
		m, err := parsePlace(member)
		if err != nil {
			return p, err
		}
		p.members = append(p.members, &m)
		there++
	}
	if len(p.members) < 2 || there == 0 {
		return p, usagef("media %q: a set has two members or more, and not all of them are missing", p.text)
	}
	return p, nil
}

// errMediaKind: the media are of a kind that cannot be read.
var errMediaKind = errors.New("media of this kind cannot be read yet")

// openPlace opens a place to read.
func openPlace(ctx context.Context, p mediaPlace) (recovery.Place, error) {
	if p.kind != "dir" {
		return recovery.Place{}, fmt.Errorf("%s: %w", p.text, errMediaKind)
	}
	return recovery.DirPlace(ctx, vfs.OS(), p.path)
}

// openMedia opens the places that the words name, and reads what is on the media in them.
func openMedia(ctx context.Context, words []string, progress func(volume string)) (*recovery.Media, error) {
	var places []recovery.Place
	for _, word := range words {
		p, err := parsePlace(word)
		if err != nil {
			return nil, err
		}
		place, err := openPlace(ctx, p)
		if err != nil {
			return nil, err
		}
		places = append(places, place)
	}
	return recovery.OpenMedia(ctx, vfs.OS(), places, progress)
}

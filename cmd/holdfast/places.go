package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"holdfast/internal/braces"
	"holdfast/internal/vfs"
	"holdfast/scheduler/recovery"
	"holdfast/vtape"
	"holdfast/vtape/library"
	"holdfast/vtape/rait"
	"holdfast/vtape/s3"
)

// missingMember stands in a parity set, in Amanda's notation, for a member that is not there.
const missingMember = "MISSING"

// mediaPlace is a place of --from-media: a directory, or what Amanda's notation names.
type mediaPlace struct {
	text string
	// kind is "dir", "s3" or "rait".
	kind string
	// path is the directory, or BUCKET/PREFIX with its braces.
	path string
	// members of a parity set in their order; nil for one that is missing.
	members []*mediaPlace
}

// placeKinds are the words before the colon, those of Amanda's changers among them.
var placeKinds = map[string]string{
	"file": "dir", "chg-disk": "dir", "s3": "s3", "rait": "rait", "chg-rait": "rait",
}

// parsePlace reads DIR, file:DIR, s3:BUCKET/PREFIX or rait:{PLACE,PLACE,MISSING}.
func parsePlace(text string) (mediaPlace, error) {
	word := strings.TrimPrefix(text, "chg-multi:")
	kind, rest, found := strings.Cut(word, ":")
	p := mediaPlace{text: text, kind: placeKinds[kind], path: rest}
	if !found || p.kind == "" {
		p.kind, p.path = "dir", word
	}
	if p.kind == "rait" {
		return parseSet(p)
	}
	if p.path == "" || p.kind == "s3" && strings.HasPrefix(p.path, "/") {
		return p, usagef("media %q: a directory, s3:BUCKET/PREFIX or rait:{DIR,DIR,...} is wanted", text)
	}
	if p.kind == "dir" {
		path, err := filepath.Abs(p.path)
		if err != nil {
			return p, err
		}
		p.path = path
		return p, nil
	}
	_, err := expand(p)
	return p, err
}

// expand gives the names that the braces of a place stand for.
func expand(p mediaPlace) ([]string, error) {
	words, err := braces.Expand(p.path)
	if err != nil {
		return nil, usagef("media %q: %w", p.text, err)
	}
	return words, nil
}

func parseSet(p mediaPlace) (mediaPlace, error) {
	words, err := expand(p)
	if err != nil {
		return p, err
	}
	there := 0
	for _, member := range words {
		if member == missingMember || member == "ERROR" || member == "DEGRADED" {
			p.members = append(p.members, nil)
			continue
		}
		m, err := parsePlace(member)
		if err != nil {
			return p, err
		}
		if m.kind == "rait" {
			return p, usagef("media %q: a set of sets", p.text)
		}
		p.members = append(p.members, &m)
		there++
	}
	if len(p.members) < 2 || there == 0 {
		return p, usagef("media %q: want rait:{DIR,DIR,...}, %s in place of a member that is not there; not all of them are", p.text, missingMember)
	}
	return p, nil
}

// openPlace opens a place to read. Note is told of members of parity sets that something is the matter with, everything once:
// a member that is missing is missing from each slot.
func openPlace(ctx context.Context, p mediaPlace, note func(string)) (recovery.Place, error) {
	note = once(note)
	switch p.kind {
	case "s3":
		return openBucket(ctx, p)
	case "rait":
		return openSet(ctx, p, note)
	}
	return recovery.DirPlace(ctx, vfs.OS(), p.path)
}

func openSet(ctx context.Context, p mediaPlace, note func(string)) (recovery.Place, error) {
	members := make([]*recovery.Place, len(p.members))
	for i, m := range p.members {
		if m == nil {
			continue
		}
		place, err := openPlace(ctx, *m, note)
		if errors.Is(err, vtape.ErrAbsent) {
			note(fmt.Sprintf("%s: member %d is read as %s: %v", p.text, i+1, missingMember, err))
			continue
		}
		if err != nil {
			return recovery.Place{}, err
		}
		members[i] = &place
	}
	return recovery.SetPlace(ctx, p.text, members, rait.Options{Note: func(_ string, err error) { // which names the member
		note(fmt.Sprintf("%s: %v", p.text, err))
	}})
}

// openBucket opens volumes in a bucket: one whose keys begin with the prefix, or the slots of a library of ours. The server and
// the credentials are those that the environment names for all programs that use S3.
func openBucket(ctx context.Context, p mediaPlace) (recovery.Place, error) {
	words, err := expand(p)
	if err != nil {
		return recovery.Place{}, err
	}
	var slots []recovery.Slot
	for _, word := range words {
		bucket, prefix, _ := strings.Cut(word, "/")
		endpoint := cmp.Or(os.Getenv("AWS_ENDPOINT_URL_S3"), os.Getenv("AWS_ENDPOINT_URL"))
		store, err := s3.New(ctx, s3.Options{
			Bucket: bucket, Prefix: prefix, Endpoint: endpoint, PathStyle: endpoint != "", Region: os.Getenv("AWS_REGION"), Now: time.Now,
		})
		if err != nil {
			return recovery.Place{}, fmt.Errorf("%s: %w", p.text, err)
		}
		shelf := store.Shelf("", 0)
		found, err := shelf.Slots(ctx)
		switch {
		case err != nil:
			return recovery.Place{}, fmt.Errorf("%s: %w", p.text, err)
		case len(found) > 0 && len(words) == 1: // all of it in one listing
			return recovery.Place{Name: p.text, Shelf: library.New(shelf, library.Options{Name: p.text})}, nil
		}
		slots = append(slots, bucketSlots(store, shelf, found, word)...)
	}
	return recovery.RowPlace(p.text, slots), nil
}

// bucketSlots gives the volumes below a store's prefix: its slots, or the one whose keys begin with the prefix.
func bucketSlots(store *s3.Store, shelf *s3.Shelf, numbers []string, name string) []recovery.Slot {
	var slots []recovery.Slot
	for _, n := range numbers {
		slots = append(slots, recovery.Slot{Name: n, Device: shelf.Device(n)})
	}
	if len(slots) == 0 {
		slots = append(slots, recovery.Slot{Name: name, Device: store.Device("")})
	}
	return slots
}

// openMedia opens the places that the words name, and reads what is on the media in them. Note is told everything once.
func openMedia(ctx context.Context, words []string, note, progress func(text string)) (*recovery.Media, error) {
	note = once(note)
	var places []recovery.Place
	for _, word := range words {
		p, err := parsePlace(word)
		if err != nil {
			return nil, err
		}
		place, err := openPlace(ctx, p, note)
		if err != nil {
			return nil, err
		}
		places = append(places, place)
	}
	return recovery.OpenMedia(ctx, vfs.OS(), places, progress)
}

// once tells a text only the first time.
func once(note func(text string)) func(text string) {
	var mu sync.Mutex // guards told
	told := map[string]bool{}
	return func(text string) {
		mu.Lock()
		defer mu.Unlock()
		if !told[text] {
			told[text] = true
			note(text)
		}
	}
}

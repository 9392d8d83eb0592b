package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"holdfast/vtape"
)

// Format erases the volume and writes the label. The label changes in one step and is never absent: of several writers
// one gets it, the others get ErrTaken, and as long as there are parts of the old volume, its label is there.
// ErrLocked: object lock forbids it, and nothing was changed.
func (d *Device) Format(ctx context.Context, label vtape.Header) error {
	if err := d.format(ctx, label); err != nil {
		return fmt.Errorf("format volume %s: %s: %w", label.Label, d.where(), err)
	}
	return nil
}

func (d *Device) format(ctx context.Context, label vtape.Header) error {
	if label.Type != vtape.TypeTapeStart {
		return fmt.Errorf("header has type %s, want %s", label.Type, vtape.TypeTapeStart)
	}
	body, err := labelBody(label)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	d.wrote("")
	old, err := d.s.getSmall(ctx, d.labelKey(), vtape.HeaderBytes)
	if err != nil && !errors.Is(err, errNoObject) {
		return err
	}
	if err := d.checkLocks(ctx); err != nil {
		return err
	}
	var etag string
	if err == nil {
		etag, err = d.relabel(ctx, old, body)
	} else {
		etag, err = d.labelBlank(ctx, body)
	}
	if err != nil {
		return err
	}
	d.wrote(etag)
	if _, err := d.abortUploads(ctx); err != nil {
		return err
	}
	return d.removeOldLabels(ctx)
}

// labelBody makes the label object. A line of its own, which readers pass over, makes no two of them equal: their ETags
// then tell writers apart that write the same label at the same time.
func labelBody(label vtape.Header) ([]byte, error) {
	raw, err := label.Block()
	if err != nil {
		return nil, err
	}
	return withWriter(trimHeader(raw)), nil
}

// writerLine begins the line that makes a label object different from others with the same text.
const writerLine = "WRITER="

// withWriter puts a new writer's line behind the first line, in place of an old one. What follows stays.
func withWriter(text []byte) []byte {
	text = withoutWriter(text)
	end := lineEnd(text)
	rest := text[min(end+1, len(text)):]
	if len(rest) == 0 {
		rest = []byte("\f\n")
	}
	return fmt.Appendf(nil, "%s\n%s%s\n%s", text[:end], writerLine, rand.Text(), rest)
}

// withoutWriter gives a label as it is on any device.
func withoutWriter(text []byte) []byte {
	at := bytes.Index(text, []byte("\n"+writerLine))
	if at < 0 {
		return text
	}
	line := text[at+1:]
	return append(bytes.Clone(text[:at+1]), line[min(lineEnd(line)+1, len(line)):]...)
}

func lineEnd(text []byte) int {
	for i, c := range text {
		if c == '\n' || c == 0 {
			return i
		}
	}
	return len(text)
}

// relabel replaces the label. The old one is written anew first, under the condition that it is still the one we read: of two
// writers only one goes on to erase the parts. Only then are these looked for: a writer that still had the old label may have
// written one meanwhile, and sees at its end that the label is no longer its own.
func (d *Device) relabel(ctx context.Context, old small, body []byte) (etag string, err error) {
	cond := condition{etag: old.etag}
	if cond.none, err = d.probe(ctx, old); err != nil {
		return "", err
	}
	if !cond.none {
		claim := put{key: d.labelKey(), body: withWriter(old.body), cond: cond}
		if cond.etag, err = d.s.put(ctx, claim); err != nil {
			return "", fmt.Errorf("claim the volume: %w", err)
		}
	}
	parts, err := d.files(ctx)
	if err != nil {
		return "", err
	}
	if err := d.removeFiles(ctx, parts); err != nil {
		return "", err
	}
	return d.s.put(ctx, put{key: d.labelKey(), body: body, cond: cond, lock: true})
}

// beingLabelled stands for the label while the files of a volume that had none are removed: nobody takes it for one.
const beingLabelled = "holdfast labels this volume\n"

// labelBlank labels a volume that has no label. What there may be of files goes, but not before it is certain that nobody else
// labels it: the files could be that one's.
func (d *Device) labelBlank(ctx context.Context, body []byte) (etag string, err error) {
	parts, err := d.files(ctx)
	if err != nil {
		return "", err
	}
	if len(parts) == 0 {
		return d.labelFirst(ctx, put{key: d.labelKey(), body: body, lock: true})
	}
	stand := small{body: []byte(beingLabelled)}
	if stand.etag, err = d.labelFirst(ctx, put{key: d.labelKey(), body: withWriter(stand.body)}); err != nil {
		return "", err
	}
	return d.relabel(ctx, stand, body)
}

// labelFirst writes a label where there is none, and proves that the store would not have written over one.
func (d *Device) labelFirst(ctx context.Context, p put) (etag string, err error) {
	etag, err = d.s.put(ctx, p)
	if errors.Is(err, errNotOffered) {
		return d.unconditional(ctx, p)
	}
	if err != nil || d.s.opts.AllowUnconditional {
		return etag, err
	}
	p.lock = false
	switch _, err := d.s.put(ctx, p); {
	case errors.Is(err, ErrTaken):
		return etag, nil
	case err == nil:
		return "", errors.Join(d.refuse(), d.s.remove(ctx, []object{{key: d.labelKey()}}))
	default:
		return "", fmt.Errorf("probe the store: %w", err)
	}
}

// files lists the objects of the volume's files.
func (d *Device) files(ctx context.Context) ([]object, error) {
	list, err := d.s.objects(ctx, d.prefix+filesPrefix)
	return d.ofFiles(list), err
}

// probe finds out whether the store heeds conditions, with one that cannot hold. None: it does not, and the options
// allow that.
func (d *Device) probe(ctx context.Context, old small) (none bool, err error) {
	_, err = d.s.put(ctx, put{key: d.labelKey(), body: withWriter(old.body), cond: condition{etag: `"0"`}})
	switch {
	case errors.Is(err, ErrTaken):
		return false, nil
	case err != nil && !errors.Is(err, errNotOffered):
		return false, fmt.Errorf("probe the store: %w", err)
	case d.s.opts.AllowUnconditional:
		return true, nil
	}
	return false, d.refuse()
}

func (d *Device) unconditional(ctx context.Context, p put) (etag string, err error) {
	if !d.s.opts.AllowUnconditional {
		return "", d.refuse()
	}
	p.cond.none = true
	return d.s.put(ctx, p)
}

func (d *Device) refuse() error {
	return fmt.Errorf("%w, so nothing would keep two writers apart", ErrUnconditional)
}

// ofFiles leaves out what is not of the volume.
func (d *Device) ofFiles(list []object) []object {
	var own []object
	for _, o := range list {
		if _, ok := d.parse(o); ok {
			own = append(own, o)
		}
	}
	return own
}

// removeFiles removes the headers first: what is cut short then leaves data that is no file any more, and no file
// without its data.
func (d *Device) removeFiles(ctx context.Context, list []object) error {
	var headers, rest []object
	for _, o := range list {
		if k, _ := d.parse(o); k.kind == header {
			headers = append(headers, o)
		} else {
			rest = append(rest, o)
		}
	}
	if err := d.s.remove(ctx, headers); err != nil {
		return err
	}
	return d.s.remove(ctx, rest)
}

// removeOldLabels removes the versions that the label had before, which no lock keeps any more.
func (d *Device) removeOldLabels(ctx context.Context) error {
	list, err := d.s.objects(ctx, d.labelKey())
	if err != nil {
		return err
	}
	var old []object
	for _, o := range list {
		if !o.latest && o.key == d.labelKey() {
			old = append(old, o)
		}
	}
	return d.s.remove(ctx, old)
}

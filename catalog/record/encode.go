package record

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"holdfast/catalog"
	"holdfast/internal/frames"
)

// head is the first line.
type head struct {
	Format  string        `json:"format"`
	Version int           `json:"version"`
	Storage string        `json:"storage"`
	Run     catalog.Stamp `json:"run"`
	Made    time.Time     `json:"made"`
}

// line is any other line: one of its fields is set.
type line struct {
	Run      *catalog.Run    `json:"run,omitempty"`
	Volume   *catalog.Volume `json:"volume,omitempty"`
	Dump     *catalog.Dump   `json:"dump,omitempty"`
	Document *document       `json:"document,omitempty"`
	Copy     *copyLine       `json:"copy,omitempty"`
	Part     *catalog.Part   `json:"part,omitempty"`
	Chunk    *chunk          `json:"chunk,omitempty"`
	Wanted   *catalog.Wanted `json:"wanted,omitempty"`
	End      *end            `json:"end,omitempty"`
}

// document is a Document for people to read, as far as it is text.
type document struct {
	Dump   catalog.DumpID `json:"dump"`
	Name   string         `json:"name"`
	Text   *string        `json:"text,omitempty"`
	Base64 *string        `json:"base64,omitempty"`
}

// copyLine is a copy without its parts, which follow: there is no bound to their number.
type copyLine struct {
	Dump       catalog.DumpID `json:"dump"`
	Storage    string         `json:"storage"`
	WriteStamp catalog.Stamp  `json:"write_stamp"`
	Status     catalog.Status `json:"status"`
}

type chunk struct {
	Dump catalog.DumpID `json:"dump"`
	catalog.HoldingChunk
}

type end struct {
	Lines int `json:"lines"`
}

// Encode writes r to w. Totals are those of the stream, as a dump's. An error names what cannot be written, or is w's.
func Encode(ctx context.Context, w io.Writer, r Record) (frames.Totals, error) {
	e := &encoder{}
	e.text.Grow(frames.FrameBytes)
	e.record(r)
	if e.err != nil {
		return frames.Totals{}, fmt.Errorf("encode catalog record: %w", e.err)
	}
	totals, err := compress(ctx, w, e.text.Bytes())
	if err != nil {
		return totals, fmt.Errorf("encode catalog record: %w", err)
	}
	return totals, nil
}

// encoder gathers the lines; the first error stays.
type encoder struct {
	text  bytes.Buffer
	lines int
	err   error
}

func (e *encoder) record(r Record) {
	e.put(head{formatName, version, r.Storage, r.Run, r.Made})
	for _, run := range r.Runs {
		e.put(line{Run: &run})
	}
	for _, v := range r.Volumes {
		e.put(line{Volume: &v})
	}
	for _, d := range r.Dumps {
		d.Messages = shortened(d.Messages)
		e.put(line{Dump: &d})
	}
	for _, d := range r.Documents {
		e.document(d)
	}
	for _, c := range r.Copies {
		e.put(line{Copy: &copyLine{c.Dump, c.Storage, c.WriteStamp, c.Status}})
		for _, p := range c.Parts {
			e.put(line{Part: &p})
		}
	}
	for _, h := range r.Held {
		for _, c := range h.Chunks {
			e.put(line{Chunk: &chunk{h.Dump, c}})
		}
	}
	for _, w := range r.Wanted {
		e.put(line{Wanted: &w})
	}
	e.put(line{End: &end{e.lines + 1}})
}

func (e *encoder) document(d Document) {
	if err := d.Check(); err != nil {
		e.fail(fmt.Errorf("%s: %w", d.Dump, err))
		return
	}
	out := document{Dump: d.Dump, Name: d.Name}
	text, coded := string(d.Data), base64.StdEncoding.EncodeToString(d.Data)
	// What is not text comes back as it was only from base64, and control characters take six bytes each as text.
	if quoted, err := json.Marshal(text); err == nil && utf8.ValidString(text) && len(quoted) <= maxLineBytes/2 {
		out.Text = &text
	} else {
		out.Base64 = &coded
	}
	e.put(line{Document: &out})
}

func (e *encoder) put(v any) {
	if e.err != nil {
		return
	}
	before := e.text.Len()
	enc := json.NewEncoder(&e.text)
	enc.SetEscapeHTML(false) // the lines are for people too
	if err := enc.Encode(v); err != nil {
		e.fail(err)
		return
	}
	e.lines++
	if n := e.text.Len() - before; n > maxLineBytes {
		e.fail(fmt.Errorf("line %d: %d bytes, at most %d are read", e.lines, n, maxLineBytes))
	} else if e.text.Len() > maxTextBytes {
		e.fail(fmt.Errorf("line %d: the text is longer than %d bytes", e.lines, maxTextBytes))
	}
}

func (e *encoder) fail(err error) {
	if e.err == nil {
		e.err = err
	}
}

// shortened cuts messages that are too long to be kept.
func shortened(messages []string) []string {
	room := maxMessageBytes
	for i, m := range messages {
		if room -= len(m) + 16; room < 0 {
			return append(messages[:i:i], "and more, which the record leaves out")
		}
	}
	return messages
}

// compress writes text in frames, as a dump's stream is.
func compress(ctx context.Context, w io.Writer, text []byte) (frames.Totals, error) {
	fw, err := frames.NewWriter(ctx, w, frames.Options{Level: frames.Default, Workers: 1})
	if err != nil {
		return frames.Totals{}, err
	}
	for len(text) > 0 {
		piece := text[:min(len(text), frames.FrameBytes)]
		text = text[len(piece):]
		err := fw.Add(frames.Frame{Bytes: len(piece), Fill: func(_ context.Context, p []byte) error {
			copy(p, piece)
			return nil
		}})
		if err != nil {
			fw.Abort()
			return frames.Totals{}, err
		}
	}
	return fw.Close()
}

package configs

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ReportOn says which reports are mailed.
type ReportOn string

// The words of send-report-on.
const (
	ReportAll     ReportOn = "all"
	ReportStrange ReportOn = "strange"
	ReportError   ReportOn = "error"
	ReportNever   ReportOn = "never"
)

// TLSMode says how an SMTP connection is encrypted.
type TLSMode string

// The words of mail.tls. Opportunistic encrypts if the server offers it.
const (
	TLSMandatory     TLSMode = "mandatory"
	TLSOpportunistic TLSMode = "opportunistic"
	TLSNone          TLSMode = "none"
)

// DeviceKind is a kind of volumes.
type DeviceKind string

// DeviceDir is vtapes in directories.
const DeviceDir DeviceKind = "dir"

// Compression says how hard dumps are compressed.
type Compression string

// The words of compress.
const (
	CompressNone    Compression = "none"
	CompressFast    Compression = "fast"
	CompressDefault Compression = "default"
	CompressBest    Compression = "best"
)

// Strategy says which levels a DLE gets, in Amanda's words.
type Strategy string

// The words of strategy.
const (
	StrategyStandard Strategy = "standard"
	StrategyNoInc    Strategy = "noinc"
	StrategyNoFull   Strategy = "nofull"
	StrategyIncrOnly Strategy = "incronly"
	StrategySkip     Strategy = "skip"
)

// HoldingUse says whether a DLE's dumps go through the holding disk.
type HoldingUse string

// The words of a dump type's holding.
const (
	HoldingAuto     HoldingUse = "auto"
	HoldingRequired HoldingUse = "required"
	HoldingNever    HoldingUse = "never"
)

// Format is an image format.
type Format string

// The words of format.
const (
	FormatRaw   Format = "raw"
	FormatQcow2 Format = "qcow2"
)

// Priority orders DLEs when there is not room for all; a higher one goes first.
type Priority int

// The words of priority.
const (
	PriorityLow    Priority = 0
	PriorityMedium Priority = 1
	PriorityHigh   Priority = 2
)

var priorityWords = []string{"low", "medium", "high"}

// UnmarshalText reads low, medium, high or a number.
func (p *Priority) UnmarshalText(text []byte) error {
	if i := slices.Index(priorityWords, string(text)); i >= 0 {
		*p = Priority(i)
		return nil
	}
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 0 {
		return problem{
			Message: fmt.Sprintf("%q is not a priority: low, medium, high or a whole number from 0", text),
			Hint:    didYouMean(string(text), priorityWords),
		}
	}
	*p = Priority(n)
	return nil
}

// MarshalText gives the word of p, or its digits.
func (p Priority) MarshalText() ([]byte, error) {
	if p >= 0 && int(p) < len(priorityWords) {
		return []byte(priorityWords[p]), nil
	}
	return strconv.AppendInt(nil, int64(p), 10), nil
}

// word is a setting that takes one word of a list.
type word interface{ words() []string }

func (ReportOn) words() []string    { return []string{"all", "strange", "error", "never"} }
func (TLSMode) words() []string     { return []string{"mandatory", "opportunistic", "none"} }
func (DeviceKind) words() []string  { return []string{"dir"} }
func (Compression) words() []string { return []string{"none", "fast", "default", "best"} }
func (Strategy) words() []string {
	return []string{"standard", "noinc", "nofull", "incronly", "skip"}
}
func (HoldingUse) words() []string { return []string{"auto", "required", "never"} }
func (Format) words() []string     { return []string{"raw", "qcow2"} }

// UnmarshalText takes all, strange, error or never.
func (r *ReportOn) UnmarshalText(text []byte) error { return oneOf(r, text) }

// UnmarshalText takes mandatory, opportunistic or none.
func (m *TLSMode) UnmarshalText(text []byte) error { return oneOf(m, text) }

// UnmarshalText takes dir.
func (k *DeviceKind) UnmarshalText(text []byte) error { return oneOf(k, text) }

// UnmarshalText takes none, fast, default or best.
func (c *Compression) UnmarshalText(text []byte) error { return oneOf(c, text) }

// UnmarshalText takes standard, noinc, nofull, incronly or skip.
func (s *Strategy) UnmarshalText(text []byte) error { return oneOf(s, text) }

// UnmarshalText takes auto, required or never.
func (u *HoldingUse) UnmarshalText(text []byte) error { return oneOf(u, text) }

// UnmarshalText takes raw or qcow2.
func (f *Format) UnmarshalText(text []byte) error { return oneOf(f, text) }

func oneOf[W interface {
	~string
	word
}](dst *W, text []byte) error {
	words := (*dst).words()
	if len(words) == 1 && words[0] != string(text) {
		return problem{Message: fmt.Sprintf("%q is not known: this version has %s only", text, words[0])}
	}
	if !slices.Contains(words, string(text)) {
		return problem{
			Message: fmt.Sprintf("%q is not one of %s", text, strings.Join(words, ", ")),
			Hint:    didYouMean(string(text), words),
		}
	}
	*dst = W(text)
	return nil
}

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

// The words of device.
const (
	DeviceDir  DeviceKind = "dir"
	DeviceS3   DeviceKind = "s3"
	DeviceRAIT DeviceKind = "rait"
)

// TaperAlgorithm says which dump is written to a volume next, in Amanda's words.
type TaperAlgorithm string

// The words of taper-algorithm.
const (
	TaperFirst      TaperAlgorithm = "first"
	TaperFirstFit   TaperAlgorithm = "firstfit"
	TaperLargest    TaperAlgorithm = "largest"
	TaperLargestFit TaperAlgorithm = "largestfit"
	TaperSmallest   TaperAlgorithm = "smallest"
	TaperLast       TaperAlgorithm = "last"
)

// LevelSelection narrows a selection to some levels.
type LevelSelection string

// The words of levels.
const (
	LevelsAll         LevelSelection = "all"
	LevelsFull        LevelSelection = "full"
	LevelsIncremental LevelSelection = "incremental"
)

// VaultSelection says which dumps go to a vault.
type VaultSelection string

// The words of a vault's dumps.
const (
	VaultAll         VaultSelection = "all"
	VaultFull        VaultSelection = "full"
	VaultLatestFull  VaultSelection = "latest-full"
	VaultIncremental VaultSelection = "incremental"
)

// LockMode is how firmly a bucket holds what is locked.
type LockMode string

// The words of lock; empty is no lock.
const (
	LockGovernance LockMode = "governance"
	LockCompliance LockMode = "compliance"
)

// Checksum is what is sent with data for the server to check.
type Checksum string

// The words of checksum.
const (
	ChecksumCRC32C Checksum = "crc32c"
	ChecksumNone   Checksum = "none"
)

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

func (ReportOn) words() []string   { return []string{"all", "strange", "error", "never"} }
func (TLSMode) words() []string    { return []string{"mandatory", "opportunistic", "none"} }
func (DeviceKind) words() []string { return []string{"dir", "s3", "rait"} }
func (TaperAlgorithm) words() []string {
	return []string{"first", "firstfit", "largest", "largestfit", "smallest", "last"}
}
func (LevelSelection) words() []string { return []string{"all", "full", "incremental"} }
func (VaultSelection) words() []string {
	return []string{"all", "full", "latest-full", "incremental"}
}
func (LockMode) words() []string    { return []string{"governance", "compliance"} }
func (Checksum) words() []string    { return []string{"crc32c", "none"} }
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

// UnmarshalText takes dir, s3 or rait.
func (k *DeviceKind) UnmarshalText(text []byte) error { return oneOf(k, text) }

// UnmarshalText takes first, firstfit, largest, largestfit, smallest or last.
func (a *TaperAlgorithm) UnmarshalText(text []byte) error { return oneOf(a, text) }

// UnmarshalText takes all, full or incremental.
func (l *LevelSelection) UnmarshalText(text []byte) error { return oneOf(l, text) }

// UnmarshalText takes all, full, latest-full or incremental.
func (v *VaultSelection) UnmarshalText(text []byte) error { return oneOf(v, text) }

// UnmarshalText takes governance or compliance.
func (m *LockMode) UnmarshalText(text []byte) error { return oneOf(m, text) }

// UnmarshalText takes crc32c or none.
func (c *Checksum) UnmarshalText(text []byte) error { return oneOf(c, text) }

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

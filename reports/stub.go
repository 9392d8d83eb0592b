package reports

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"time"

	"holdfast/catalog"
)

// Fold makes the report of a run that is over, finished or crashed, from its events in order.
//
// The run itself appends its RunFinished, folds, and records the exit status it finds.
func Fold(run catalog.Run, events []catalog.Event) Report { return Report{} }

// FoldRunning is Fold for a run whose process lives: what has no result yet is pending, not missing.
func FoldRunning(run catalog.Run, events []catalog.Event) Report { return Report{} }

// Subject is the subject of the mail.
func (r Report) Subject() string { return "" }

// ExitStatus is Amanda's bit sum for the run: 1 error, 2 strange, 4 a DLE failed, 8 a result missing, 16 media.
func ExitStatus(r Report) int { return 0 }

// TextOptions say how sizes and times are written.
type TextOptions struct {
	// Unit of sizes: "k", "m", "g" or "t", powers of 1024; "k" when empty.
	Unit string
	// Location of the few times in the text; UTC when nil.
	Location *time.Location
}

// Text writes the report in Amanda's layout.
func Text(w io.Writer, r Report, o TextOptions) error { return errors.ErrUnsupported }

// JSON writes the report as one JSON object that fits Schema.
func JSON(w io.Writer, r Report) error { return errors.ErrUnsupported }

// Schema is the JSON Schema of what JSON writes.
func Schema() []byte { return nil }

// StatusReport is the state of every dump of a run.
type StatusReport struct{}

// Status tells how far the run is. alive says whether its process lives; without it what was going on when the events
// end shows as terminated. now is the time of looking.
func Status(run catalog.Run, events []catalog.Event, now time.Time, alive bool) StatusReport {
	return StatusReport{}
}

// StatusText writes the status in the manner of amstatus.
func StatusText(w io.Writer, s StatusReport, o TextOptions) error { return errors.ErrUnsupported }

// StatusJSON writes the status as one JSON object.
func StatusJSON(w io.Writer, s StatusReport) error { return errors.ErrUnsupported }

// Table is a table of plain text: columns as wide as their widest cell, two blanks apart.
type Table struct {
	Header []string
	// Right tells for each column whether it is aligned to the right.
	Right []bool
	Rows  [][]string
}

// Write writes the table; nothing but its header when it has no rows.
func (t Table) Write(w io.Writer) error { return errors.ErrUnsupported }

// Plan is a decided night, for PlanText.
type Plan struct {
	Planned []catalog.Planned
	Skipped []catalog.Skipped
	// CapacityBytes is what the volumes of the run hold; 0 when it is not known.
	CapacityBytes int64
}

// PlanText writes a plan as a table with the reason of each decision.
func PlanText(w io.Writer, p Plan) error { return errors.ErrUnsupported }

// HistoryText writes dumps and where their copies are, in the order given.
func HistoryText(w io.Writer, dumps []catalog.Dump, copies map[catalog.DumpID][]catalog.Copy) error {
	return errors.ErrUnsupported
}

// VolumesText writes volumes in the order given; verdicts says for each label whether it may be overwritten and why.
func VolumesText(w io.Writer, volumes []catalog.Volume, verdicts map[catalog.Label]string) error {
	return errors.ErrUnsupported
}

// ErrMailTemporary is matched by an error of Send that may pass: try again later.
var ErrMailTemporary = errors.New("temporary")

// TLSPolicy says how a connection to a mail server is secured.
type TLSPolicy string

// The policies. The zero value is TLSMandatory, but for localhost TLSOpportunistic.
const (
	TLSDefault       TLSPolicy = ""
	TLSMandatory     TLSPolicy = "mandatory"     // STARTTLS or no mail
	TLSOpportunistic TLSPolicy = "opportunistic" // STARTTLS if the server offers it
	TLSImplicit      TLSPolicy = "implicit"      // TLS from the first byte, port 465
)

// SMTPOptions say which mail server to hand the mail to.
type SMTPOptions struct {
	Host string
	// Port is 587 when 0, 465 with TLSImplicit, 25 on localhost.
	Port int
	TLS  TLSPolicy
	// User and Password log in where User is set.
	User, Password string
	// TLSConfig overrides the certificates trusted; nil for the system's.
	TLSConfig *tls.Config
}

// MailOptions say from whom, to whom and how. Exactly one of SMTP and Sendmail is set.
type MailOptions struct {
	From string
	To   []string
	// Date of the mail.
	Date time.Time
	SMTP *SMTPOptions
	// Sendmail is a command and its arguments that takes the mail on its standard input, as `sendmail -oi -t`.
	Sendmail []string
	// Timeout bounds the whole delivery; one minute when 0.
	Timeout time.Duration
}

// Send mails body as plain text. An error that matches ErrMailTemporary may pass.
func Send(ctx context.Context, o MailOptions, subject, body string) error {
	return errors.ErrUnsupported
}

package reports

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"os/exec"
	"strings"
	"time"

	"github.com/wneessen/go-mail"
)

// ErrMailTemporary is matched by an error of Send that may pass: try again later.
var ErrMailTemporary = errors.New("temporary")

// mailTimeout bounds a delivery: a report is small, and the run that waits for it is over.
const mailTimeout = time.Minute

// exitTempFail is what sendmail ends with when it will work later (sysexits.h, EX_TEMPFAIL).
const exitTempFail = 75

// TLSPolicy says how a connection to a mail server is secured.
type TLSPolicy string

// The policies, in the words of the configuration. The zero value is TLSMandatory.
const (
	TLSMandatory     TLSPolicy = "mandatory"     // STARTTLS or no mail
	TLSOpportunistic TLSPolicy = "opportunistic" // STARTTLS if the server offers it
	TLSNone          TLSPolicy = "none"
)

// SMTPOptions say which mail server to hand the mail to.
type SMTPOptions struct {
	Host string
	Port int
	TLS  TLSPolicy
	// User and Password log in where User is set; never without TLS, but on localhost.
	User, Password string
	// TLSConfig overrides the certificates trusted; nil for the system's. On localhost a certificate is not verified
	// unless TLSConfig is set: what MTAs are installed with is signed by nobody.
	TLSConfig *tls.Config
}

// MailOptions say from whom, to whom and how. Exactly one of SMTP and Sendmail is set.
type MailOptions struct {
	From string
	To   []string
	// Date of the mail.
	Date time.Time
	SMTP *SMTPOptions
	// Sendmail is a command with its arguments that takes a mail on its standard input and the recipients from its
	// header, as `sendmail -oi -t` does. No shell sees it.
	Sendmail []string
	// Timeout bounds the whole delivery; one minute when 0.
	Timeout time.Duration
}

// Send mails body as plain text. An error that matches ErrMailTemporary may pass; others will not. By SMTP each
// recipient gets a mail of their own, so that one wrong address keeps the report from nobody else; the Message-ID is
// that of subject, body and date, so that sending again gives no second mail to those who had the first.
func Send(ctx context.Context, o MailOptions, subject, body string) error {
	if len(o.To) == 0 {
		return errors.New("send mail: no recipients")
	}
	if (o.SMTP == nil) == (len(o.Sendmail) == 0) {
		return errors.New("send mail: want either an SMTP server or a sendmail command")
	}
	if o.Timeout <= 0 {
		o.Timeout = mailTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	if o.SMTP != nil {
		if err := sendSMTP(ctx, o, subject, body); err != nil {
			return fmt.Errorf("send mail: %s: %w", o.SMTP.address(), err)
		}
		return nil
	}
	if err := sendCommand(ctx, o, subject, body); err != nil {
		return fmt.Errorf("send mail: %s: %w", o.Sendmail[0], err)
	}
	return nil
}

// message makes the mail for some of the recipients.
func (o MailOptions) message(to []string, subject, body string) (*mail.Msg, error) {
	m := mail.NewMsg(mail.WithNoDefaultUserAgent())
	if err := m.From(o.From); err != nil {
		return nil, fmt.Errorf("sender %q: %w", o.From, err)
	}
	if err := m.To(to...); err != nil {
		return nil, fmt.Errorf("recipients %q: %w", to, err)
	}
	m.Subject(oneLine(subject))
	m.SetDateWithValue(o.Date)
	m.SetMessageIDWithValue(o.messageID(subject, body))
	m.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no replies from absent people
	m.SetBodyString(mail.TypeTextPlain, body)
	return m, nil
}

func (o MailOptions) messageID(subject, body string) string {
	sum := sha256.Sum256([]byte(subject + "\n" + body))
	domain := "localhost"
	if at := strings.LastIndexByte(o.From, '@'); at >= 0 {
		domain = strings.TrimRight(o.From[at+1:], "> ")
	}
	return fmt.Sprintf("%d.%x@%s", o.Date.Unix(), sum[:12], domain)
}

func sendSMTP(ctx context.Context, o MailOptions, subject, body string) error {
	var mails []*mail.Msg
	for _, to := range o.To {
		m, err := o.message([]string{to}, subject, body)
		if err != nil {
			return err
		}
		mails = append(mails, m)
	}
	var conn net.Conn
	dial := func(dialCtx context.Context, network, address string) (net.Conn, error) {
		var err error
		conn, err = new(net.Dialer).DialContext(dialCtx, network, address)
		if err != nil {
			return nil, err
		}
		// The client heeds ctx only while it dials: a cancelled delivery ends by losing its connection.
		context.AfterFunc(ctx, func() { conn.Close() })
		return conn, nil
	}
	client, err := mail.NewClient(o.SMTP.Host, append(o.SMTP.clientOptions(), mail.WithTimeout(o.Timeout), mail.WithDialContextFunc(dial))...)
	if err != nil {
		return err
	}
	session, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		if conn != nil {
			conn.Close()
		}
		return temporaryIf(dialMayPass(err), ctxCause(ctx, err))
	}
	// What the server has accepted is delivered: how it takes leave is no matter.
	defer client.CloseWithSMTPClient(session)
	if err := client.SendWithSMTPClient(session, mails...); err != nil {
		return ctxCause(ctx, undelivered(mails, err))
	}
	return nil
}

// undelivered joins what went wrong with each mail; it is temporary if one of them is. Without any it was the connection.
func undelivered(mails []*mail.Msg, cause error) error {
	var all error
	for _, m := range mails {
		var failure *mail.SendError
		if !errors.As(m.SendError(), &failure) {
			continue
		}
		err := temporaryIf(sendMayPass(failure), failure)
		if all == nil {
			all = err
		} else {
			all = fmt.Errorf("%w; %w", all, err)
		}
	}
	if all == nil {
		return temporaryIf(true, cause)
	}
	return all
}

// ctxCause puts the reason why the connection was cut before what the cut looked like.
func ctxCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

// temporaryIf marks err as one that may pass.
func temporaryIf(temporary bool, err error) error {
	if !temporary {
		return err
	}
	return fmt.Errorf("%w: %w", ErrMailTemporary, err)
}

// dialMayPass tells what was final: a refusal, no such host, a certificate that is not trusted. All else may be mended by
// the time of the next try, and a report that is given up too early is lost.
func dialMayPass(err error) bool {
	var reply *textproto.Error
	if errors.As(err, &reply) {
		return reply.Code/100 == 4
	}
	var dns *net.DNSError
	var untrusted *tls.CertificateVerificationError
	return !(errors.As(err, &dns) && dns.IsNotFound) && !errors.As(err, &untrusted)
}

// sendMayPass is dialMayPass for a mail: a failure without a reply code is a broken connection, unless the mail itself
// is at fault.
func sendMayPass(err *mail.SendError) bool {
	switch err.Reason {
	case mail.ErrGetSender, mail.ErrGetRcpts, mail.ErrNoUnencoded:
		return false
	}
	return err.ErrorCode() == 0 || err.ErrorCode()/100 == 4
}

func (s *SMTPOptions) local() bool {
	ip := net.ParseIP(s.Host)
	return s.Host == "localhost" || ip != nil && ip.IsLoopback()
}

func (s *SMTPOptions) address() string { return net.JoinHostPort(s.Host, fmt.Sprint(s.Port)) }

func (s *SMTPOptions) tlsConfig() *tls.Config {
	if s.TLSConfig != nil {
		c := s.TLSConfig.Clone()
		if c.ServerName == "" {
			c.ServerName = s.Host
		}
		return c
	}
	return &tls.Config{ServerName: s.Host, MinVersion: tls.VersionTLS12, InsecureSkipVerify: s.local()}
}

func (s *SMTPOptions) clientOptions() []mail.Option {
	policy := mail.TLSMandatory
	switch s.TLS {
	case TLSNone:
		policy = mail.NoTLS
	case TLSOpportunistic:
		policy = mail.TLSOpportunistic
	}
	options := []mail.Option{mail.WithPort(s.Port), mail.WithTLSPolicy(policy), mail.WithTLSConfig(s.tlsConfig())}
	if s.User != "" {
		// In this order; the last two refuse to work without TLS. A server that offers none of them is an error.
		options = append(options, mail.WithUsername(s.User), mail.WithPassword(s.Password), mail.WithOpportunisticSMTPAuth(
			mail.SMTPAuthSCRAMSHA256, mail.SMTPAuthSCRAMSHA1, mail.SMTPAuthPlain, mail.SMTPAuthLogin))
	}
	return options
}

// sendCommand hands the mail to a command, as one mail to all: the command is the one that delivers.
func sendCommand(ctx context.Context, o MailOptions, subject, body string) error {
	m, err := o.message(o.To, subject, body)
	if err != nil {
		return err
	}
	var text, output bytes.Buffer
	if _, err := m.WriteTo(&text); err != nil {
		return fmt.Errorf("write the mail: %w", err)
	}
	cmd := exec.CommandContext(ctx, o.Sendmail[0], o.Sendmail[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = &text, &output, &output
	cmd.WaitDelay = time.Second // what the command leaves running may hold our pipes
	err = cmd.Run()
	if err == nil || errors.Is(err, exec.ErrWaitDelay) {
		return nil
	}
	var exit *exec.ExitError
	temporary := errors.As(err, &exit) && exit.ExitCode() == exitTempFail || ctx.Err() != nil
	if said := oneLine(output.String()); said != "" {
		err = fmt.Errorf("%w: %s", err, said)
	}
	return temporaryIf(temporary, ctxCause(ctx, err))
}

package configs

import (
	"fmt"
	"maps"
	"net"
	"net/mail"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	maxInParallel = 64
	// minChunk leaves room for as much data as header.
	minChunk = 64 * KiB
	// chunkUnit is the size of a header block, so that chunks fill a holding disk evenly.
	chunkUnit = 32 * KiB
)

// check is the validation of one configuration; it says of a value at a path what is wrong with it.
type check struct {
	*decoder
	c *Config
}

// validate notes what is wrong with values that are well formed each by itself.
func validate(c *Config, d *decoder) {
	k := check{d, c}
	k.must(c.Org != "", "org", "is empty", "")
	k.path("state", c.State)
	k.mail()
	k.must(c.DumpCycle >= 1, "dump-cycle", "must be at least 1d", cycleHint)
	k.bump("bump", c.Bump)
	k.must(c.RunsPerCycle >= 0, "runs-per-cycle", "must be 0 or more", "0 means one run a day")
	k.must(c.InParallel >= 1 && c.InParallel <= maxInParallel, "in-parallel", fmt.Sprintf("must be 1 to %d", maxInParallel), "")
	k.must(c.Reserve >= 0 && c.Reserve <= 100, "reserve", "must be 0 to 100", "it is a percentage of the holding disks")
	k.holding()
	k.storages()
	for _, name := range slices.Sorted(maps.Keys(c.DumpTypes)) {
		k.dumpType(join(typesPath, name), c.DumpTypes[name])
	}
	k.dles()
	k.driver()
	k.hooks()
	k.schedule()
}

// must notes a fault unless ok.
func (k check) must(ok bool, path, message, hint string) {
	if !ok {
		k.fail(path, problem{Message: message, Hint: hint})
	}
}

// own notes a fault unless ok, if the value at path stands in the file and is not inherited.
func (k check) own(ok bool, path, message, hint string) {
	if _, here := k.places[path]; here {
		k.must(ok, path, message, hint)
	}
}

// path checks a path that may not be empty.
func (k check) path(path, value string) {
	k.must(value != "", path, "is empty", "")
	k.must(!startsAtHome(value), path, noHome(value), homeHint)
}

const homeHint = "write the path in full"

func startsAtHome(path string) bool { return path == "~" || strings.HasPrefix(path, "~/") }

func noHome(path string) string { return fmt.Sprintf("%q: ~ has no meaning here", path) }

func (k check) mail() {
	m := k.c.Mail
	for i, to := range k.c.MailTo {
		k.address(join("mailto", strconv.Itoa(i)), to)
	}
	if m.From != "" {
		k.address("mail.from", m.From)
	}
	k.must(m.SMTP == "" || m.Sendmail == "", "mail.sendmail", "stands beside smtp", "give the one or the other")
	k.must(m.Sendmail == "" || filepath.IsAbs(m.Sendmail), "mail.sendmail", fmt.Sprintf("%q is not a full path", m.Sendmail), "the usual one is "+defaultSendmail)
	k.must((m.User == "") == (m.PasswordFile == ""), "mail", "user and password-file go together", "")
	k.must(m.SMTP != "" || m.User == "" && m.TLS == "", "mail", "user, password-file and tls need smtp", "")
	k.own(!startsAtHome(m.PasswordFile), "mail.password-file", noHome(m.PasswordFile), homeHint)
	if m.SMTP == "" {
		return
	}
	host, port, err := net.SplitHostPort(m.SMTP)
	n, errPort := strconv.ParseUint(port, 10, 16)
	k.must(err == nil && errPort == nil && n > 0 && k.oneWord(host), "mail.smtp",
		fmt.Sprintf("%q is not HOST:PORT", m.SMTP), "ports are 25, or 587 to hand in mail with a user name")
	k.must(m.User == "" || m.TLS == "" || m.TLS == TLSMandatory || isLoopback(m.SMTP), "mail.tls",
		fmt.Sprintf("%s would send the password in the clear", m.TLS), "with a user, tls is mandatory except to this host itself")
}

// address checks a mail address; a local one (root) needs no host.
func (k check) address(path, address string) {
	_, err := mail.ParseAddress(address)
	local := k.oneWord(address) && !strings.ContainsAny(address, "@<>,;:\"()[]\\")
	k.must((err == nil || local) && !strings.HasPrefix(address, "-"), path, fmt.Sprintf("%q is not a mail address", address), "")
}

const cycleHint = "1d makes a full dump each night"

func (k check) bump(path string, b Bump) {
	k.own(b.Size >= 0, join(path, "size"), "must not be negative", "")
	k.own(b.Percent >= 0 && b.Percent <= 100, join(path, "percent"), "must be 0 to 100", "")
	k.own(b.Mult >= 1, join(path, "mult"), "must be 1 or more", "")
	k.own(b.Days >= 1, join(path, "days"), "must be at least 1", "")
}

func (k check) holding() {
	seen := map[string]bool{}
	for i, h := range k.c.Holding {
		path := join("holding", strconv.Itoa(i))
		k.path(join(path, "dir"), h.Dir)
		dir := filepath.Clean(h.Dir)
		k.must(!seen[dir], join(path, "dir"), fmt.Sprintf("%q stands twice", h.Dir), "")
		seen[dir] = true
		k.must(h.Chunk >= minChunk && h.Chunk%chunkUnit == 0, join(path, "chunk"),
			fmt.Sprintf("%s is not a multiple of %s from %s on", h.Chunk, chunkUnit, minChunk), "")
		k.must(h.Use <= 0 || h.Use >= h.Chunk, join(path, "use"),
			fmt.Sprintf("%s is less than one chunk of %s", h.Use, h.Chunk), "0 means all that is free")
	}
}

// dumpType checks what a dump type sets itself; what it inherits is told where it was set.
func (k check) dumpType(path string, t DumpType) {
	k.own(t.DumpCycle >= 1, join(path, "dump-cycle"), "must be at least 1d", cycleHint)
	k.bump(join(path, "bump"), t.Bump)
	k.own(t.MaxLevel >= 1 && t.MaxLevel <= maxLevel, join(path, "max-level"),
		fmt.Sprintf("must be 1 to %d", maxLevel), "for fulls only: strategy: noinc")
	k.own(t.MaxChain >= 0, join(path, "max-chain"), "must not be negative", "0 means no limit but max-level")
	k.own(!t.SkipFull || !t.SkipIncr, join(path, "skip-full"), "stands beside skip-incr: nothing would ever be dumped", "strategy: skip leaves an image out")
	if _, here := k.places[join(path, "tags")]; here {
		k.tags(join(path, "tags"), t.Tags)
	}
	k.own(t.Encrypt.On(), join(path, "encrypt.recipients"), "is empty", "encrypt: none turns encryption off")
	k.own(!startsAtHome(t.Encrypt.Recipients), join(path, "encrypt.recipients"), noHome(t.Encrypt.Recipients), homeHint)
	k.own(filepath.IsAbs(t.Encrypt.Program), join(path, "encrypt.program"),
		fmt.Sprintf("%q is not a full path", t.Encrypt.Program), "the usual one is "+defaultProgram)
	k.own(t.Holding != HoldingRequired || len(k.c.Holding) > 0, join(path, "holding"), "required, but there is no holding disk", "")
}

// oneWord tells whether text is not empty and has no blanks.
func (k check) oneWord(text string) bool {
	return text != "" && len(strings.Fields(text)) == 1 && strings.TrimSpace(text) == text
}

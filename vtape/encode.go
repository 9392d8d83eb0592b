package vtape

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Limits of what a header holds.
const (
	maxFieldBytes    = 255   // Amanda cuts a longer field on reading, silently
	maxDLEBytes      = 30720 // Amanda leaves out a longer text
	maxBaseBytes     = 2048  // two names of 255 bytes, percent-escaped, with stamp and level
	maxIdentityBytes = 1024
	maxStatusBytes   = 64
	maxCommandBytes  = 4096
	maxMemberBytes   = 512
)

const (
	restoreSentence = "To restore, position tape at start of file and run:"
	severalParts    = "When the dump has several parts, join what dd gives for each of them, in order, before the pipe."
	formFeed        = "\f"
	memberKey       = "HOLDFAST-RAIT"
)

// errTooLong is wrapped by Block when the fields are in order but do not fit together.
var errTooLong = errors.New("text is longer than a header block")

// Block encodes the header as the HeaderBytes bytes that lie on a medium. An error names the field that cannot be
// encoded.
func (h Header) Block() ([]byte, error) {
	text, err := h.text()
	if err != nil {
		return nil, fmt.Errorf("encode header: %w", err)
	}
	if len(text) >= HeaderBytes {
		return nil, fmt.Errorf("encode header: %w: %d bytes", errTooLong, len(text))
	}
	block := make([]byte, HeaderBytes)
	copy(block, text)
	return block, nil
}

func (h Header) text() (string, error) {
	var b strings.Builder
	b.WriteString("AMANDA: ")
	b.WriteString(string(h.Type))
	var err error
	switch h.Type {
	case TypeTapeStart:
		err = writeWords(&b, word{" DATE ", "stamp", h.Stamp}, word{" TAPE ", "label", string(h.Label)})
	case TypeTapeEnd:
		err = writeWords(&b, word{" DATE ", "stamp", h.Stamp})
	case TypeSplitFile, TypeFile, TypeContFile:
		if err = h.writeDumpLine(&b); err == nil {
			b.WriteByte('\n')
			err = h.writeLines(&b)
		}
		b.WriteString(formFeed + "\n")
		return b.String(), err
	default:
		err = fmt.Errorf("type %q: unknown", h.Type)
	}
	b.WriteByte('\n')
	if err == nil && h.Type == TypeTapeStart {
		err = h.writeMember(&b)
	}
	b.WriteString(formFeed + "\n")
	return b.String(), err
}

func (h Header) writeMember(b *strings.Builder) error {
	if err := checkLine(memberKey+"=", h.MemberLine, maxMemberBytes); err != nil {
		return err
	}
	if h.MemberLine != "" {
		b.WriteString(memberKey + "=" + h.MemberLine + "\n")
	}
	return nil
}

// word is a field that is one word, with what stands before it on the line.
type word struct{ before, field, value string }

func writeWords(b *strings.Builder, words ...word) error {
	for _, w := range words {
		if err := checkWord(w.field, w.value); err != nil {
			return err
		}
		b.WriteString(w.before)
		b.WriteString(w.value)
	}
	return nil
}

func checkWord(field, value string) error {
	switch {
	case value == "":
		return fmt.Errorf("%s: empty", field)
	case len(value) > maxFieldBytes:
		return fmt.Errorf("%s %.40q...: longer than %d bytes", field, value, maxFieldBytes)
	case strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return fmt.Errorf("%s %q: blank or control character in it", field, value)
	}
	return nil
}

func (h Header) writeDumpLine(b *strings.Builder) error {
	if err := writeWords(b, word{" ", "stamp", h.Stamp}, word{" ", "host", h.Host}); err != nil {
		return err
	}
	if err := checkDisk(h.Disk); err != nil {
		return err
	}
	fmt.Fprintf(b, " %s ", quoteDisk(h.Disk))
	if h.Type == TypeSplitFile {
		if h.Part < 1 || h.TotalParts < -1 {
			return fmt.Errorf("part %d/%d: parts count from 1", h.Part, h.TotalParts)
		}
		total := h.TotalParts
		if total == 0 {
			total = -1
		}
		fmt.Fprintf(b, " part %d/%d ", h.Part, total)
	}
	fmt.Fprintf(b, " lev %d", h.Level)
	if err := writeWords(b, word{" comp ", "compression", h.Compress}); err != nil {
		return err
	}
	return h.writeProgramWords(b)
}

func (h Header) writeProgramWords(b *strings.Builder) error {
	var words []word
	if h.Program != "" {
		words = append(words, word{" program ", "program", h.Program})
	}
	if h.Encrypted {
		words = append(words, word{" crypt ", "crypt", "enc"})
	}
	for _, pair := range []struct{ name, server, client string }{
		{"custom_compress", h.ServerCompress, h.ClientCompress},
		{"encrypt", h.ServerEncrypt, h.ClientEncrypt},
		{"decrypt_option", h.ServerDecryptOpt, h.ClientDecryptOpt},
	} {
		switch {
		case pair.server != "" && pair.client != "":
			return fmt.Errorf("%s: both of server and client", pair.name)
		case pair.server != "":
			words = append(words, word{" server_" + pair.name + " ", pair.name, pair.server})
		case pair.client != "":
			words = append(words, word{" client_" + pair.name + " ", pair.name, pair.client})
		}
	}
	if h.Program == "" && len(words) > 0 {
		return errors.New("program: empty, with words on compression or encryption after it")
	}
	return writeWords(b, words...)
}

// writeLines writes what follows the first line, up to the form feed.
func (h Header) writeLines(b *strings.Builder) error {
	for _, l := range []struct {
		key, value string
		max        int
	}{
		{"CONT_FILENAME=", h.ContFilename, maxFieldBytes},
		{"APPLICATION=", h.Application, maxFieldBytes},
	} {
		if err := checkLine(l.key, l.value, l.max); err != nil {
			return err
		}
		if l.value != "" {
			b.WriteString(l.key + l.value + "\n")
		}
	}
	if h.Partial {
		b.WriteString("PARTIAL=YES\n")
	}
	if err := h.writeSizes(b); err != nil {
		return err
	}
	if err := writeDLEText(b, h.DLEText); err != nil {
		return err
	}
	if h.Image != nil {
		if err := writeImage(b, *h.Image); err != nil {
			return err
		}
	}
	if err := h.writeMember(b); err != nil {
		return err
	}
	command := h.restoreLine()
	if err := checkLine("restore command ", command, maxCommandBytes); err != nil {
		return err
	}
	if !strings.HasPrefix(command, "dd ") {
		return fmt.Errorf("restore command %q: does not begin with dd", command)
	}
	if h.Image != nil && h.Type == TypeSplitFile {
		b.WriteString(severalParts + "\n")
	}
	b.WriteString(restoreSentence + "\n\t" + command + "\n")
	return nil
}

// checkLine tells whether value can stand on one line.
func checkLine(key, value string, maxBytes int) error {
	if len(value) > maxBytes {
		return fmt.Errorf("%s%.40q...: longer than %d bytes", key, value, maxBytes)
	}
	if strings.ContainsAny(value, "\n\x00") {
		return fmt.Errorf("%s%q: line feed or NUL in it", key, value)
	}
	return nil
}

func (h Header) writeSizes(b *strings.Builder) error {
	if h.OrigKiB < 0 {
		return fmt.Errorf("ORIGSIZE=%d: negative", h.OrigKiB)
	}
	if h.OrigKiB > 0 {
		fmt.Fprintf(b, "ORIGSIZE=%d\n", h.OrigKiB)
	}
	for _, c := range []struct {
		key string
		crc CRC
	}{{"NATIVE-CRC", h.Native}, {"CLIENT-CRC", h.Client}, {"SERVER-CRC", h.Server}} {
		if c.crc.Bytes < 0 {
			return fmt.Errorf("%s: negative size %d", c.key, c.crc.Bytes)
		}
		if c.crc.Sum != 0 {
			fmt.Fprintf(b, "%s=%08x:%d\n", c.key, c.crc.Sum, c.crc.Bytes)
		}
	}
	return nil
}

func writeDLEText(b *strings.Builder, text string) error {
	if text == "" {
		return nil
	}
	if len(text) > maxDLEBytes {
		return fmt.Errorf("DLE text: longer than %d bytes", maxDLEBytes)
	}
	if strings.Contains(text, "\x00") {
		return errors.New("DLE text: NUL in it")
	}
	// The end marker must not be a line of the text.
	end := "ENDDLE"
	for n := 1; strings.Contains("\n"+text+"\n", "\n"+end+"\n"); n++ {
		end = fmt.Sprintf("ENDDLE%d", n)
	}
	fmt.Fprintf(b, "DLE=<<%s\n%s\n%s\n", end, text, end)
	return nil
}

func writeImage(b *strings.Builder, info ImageInfo) error {
	if err := info.check(); err != nil {
		return err
	}
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false) // the line is for people too
	if err := enc.Encode(info); err != nil {
		return err
	}
	b.WriteString("HOLDFAST=")
	b.Write(line.Bytes()) // ends in LF
	return nil
}

func (i ImageInfo) check() error {
	switch {
	case len(i.Base) > maxBaseBytes:
		return fmt.Errorf("HOLDFAST=: base: longer than %d bytes", maxBaseBytes)
	case len(i.Identity) > maxIdentityBytes:
		return fmt.Errorf("HOLDFAST=: identity: longer than %d bytes", maxIdentityBytes)
	case len(i.Status) > maxStatusBytes:
		return fmt.Errorf("HOLDFAST=: status: longer than %d bytes", maxStatusBytes)
	case i.ImageBytes < 0 || i.OrigBytes < 0 || i.StoredBytes < 0:
		return errors.New("HOLDFAST=: negative size")
	}
	return nil
}

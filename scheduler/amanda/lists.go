package amanda

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"holdfast/catalog"
	"holdfast/internal/vfs"
	"holdfast/vtape/amandalog"
)

// maxFile bounds the files of Amanda's that are read into memory; a log has some hundred bytes for each part.
const maxFile = 256 << 20

// Lists is what Amanda's own catalog says. The zero value is that nothing is known of it.
type Lists struct {
	// Tapes is the tapelist; nil when none was given.
	Tapes []amandalog.Tape
	// Logs are the records of all logs of a stamp, by the stamp.
	Logs map[catalog.Stamp][]amandalog.Record
	// Odd are lines of logs that could not be read.
	Odd []error
}

// Paths are where Amanda's catalog lies.
type Paths struct{ Tapelist, LogDir string }

// ErrNoPath: a configuration of Amanda's does not say where its catalog is.
var ErrNoPath = errors.New("is not set there")

// ConfigPaths reads from a configuration directory of Amanda's where its catalog lies: the statements tapelist and logdir
// of amanda.conf. Paths in it that are not absolute count from the directory. Files that it includes are not looked at.
func ConfigPaths(fsys vfs.FS, dir string) (Paths, error) {
	name := path.Join(dir, "amanda.conf")
	text, err := readBounded(fsys, name)
	if err != nil {
		return Paths{}, fmt.Errorf("Amanda's configuration: %w", err)
	}
	var p Paths
	for into, key := range map[*string]string{&p.Tapelist: "tapelist", &p.LogDir: "logdir"} {
		value, ok := statement(text, key)
		if !ok {
			return p, fmt.Errorf("Amanda's configuration %s: %s %w", name, key, ErrNoPath)
		}
		if !path.IsAbs(value) {
			value = path.Join(dir, value)
		}
		*into = value
	}
	return p, nil
}

// statement finds `KEY "value"` at the beginning of a line; the last one counts.
func statement(text, key string) (value string, ok bool) {
	for line := range strings.Lines(text) {
		word, rest, _ := strings.Cut(strings.Join(strings.Fields(line), " "), " ")
		if !strings.EqualFold(word, key) {
			continue
		}
		v, after, closed := strings.Cut(strings.TrimPrefix(rest, `"`), `"`)
		if !strings.HasPrefix(rest, `"`) || !closed || after != "" && !strings.HasPrefix(strings.TrimSpace(after), "#") {
			continue
		}
		value, ok = v, true
	}
	return value, ok
}

// ReadLists reads Amanda's tapelist, and the logs of the volumes in it.
func ReadLists(fsys vfs.FS, p Paths) (Lists, error) {
	l := Lists{Logs: map[catalog.Stamp][]amandalog.Record{}}
	text, err := readBounded(fsys, p.Tapelist)
	if err == nil {
		l.Tapes, err = amandalog.ParseTapelist(text)
	}
	if err != nil {
		return l, fmt.Errorf("Amanda's tapelist %s: %w", p.Tapelist, vfs.Cause(err))
	}
	if _, err := fsys.ReadDir(p.LogDir); err != nil {
		return l, fmt.Errorf("Amanda's logs %s: %w", p.LogDir, vfs.Cause(err))
	}
	for _, t := range l.Tapes {
		if _, read := l.Logs[t.Stamp]; read || t.Stamp == amandalog.NeverWritten {
			continue
		}
		if err := l.readLogs(fsys, p.LogDir, t.Stamp); err != nil {
			return l, fmt.Errorf("Amanda's logs: %w", err)
		}
	}
	return l, nil
}

// readLogs reads the logs of a stamp as Amanda does: .0, .1 and so on until one is missing, then the two old names.
func (l *Lists) readLogs(fsys vfs.FS, dir string, stamp catalog.Stamp) error {
	var records []amandalog.Record
	read := func(name string) (bool, error) {
		text, err := readBounded(fsys, path.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		got, odd := amandalog.Parse(text)
		records = append(records, got...)
		for _, err := range odd {
			l.Odd = append(l.Odd, fmt.Errorf("%s: %w", name, err))
		}
		return true, nil
	}
	for n := 0; ; n++ {
		ok, err := read(fmt.Sprintf("log.%s.%d", stamp, n))
		if err != nil {
			return err
		}
		if !ok {
			break
		}
	}
	for _, name := range []string{"log." + string(stamp) + ".amflush", "log." + string(stamp)} {
		if _, err := read(name); err != nil {
			return err
		}
	}
	l.Logs[stamp] = records
	return nil
}

func readBounded(fsys vfs.FS, name string) (string, error) {
	f, err := fsys.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return "", err
	}
	defer f.Close() // it was only read
	data, err := io.ReadAll(io.LimitReader(bufio.NewReader(f), maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s: larger than %d bytes", name, maxFile)
	}
	return string(data), err
}

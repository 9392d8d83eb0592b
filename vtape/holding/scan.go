package holding

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"holdfast/catalog"
	"holdfast/internal/vfs"
	"holdfast/vtape"
)

// pidFile is what Amanda keeps in a run's directory besides chunks.
const pidFile = "pid"

// Found is a dump that lies on a holding disk. Its chunks have no checksums of data: only a catalog knows those.
type Found struct {
	Header  vtape.Header
	Holding catalog.Holding
	// Err tells what is wrong with a dump that is damaged; Header and Holding hold what could be read.
	Err error
}

// Bytes is the length of the stored stream.
func (f Found) Bytes() int64 {
	var total int64
	for _, c := range f.Holding.Chunks {
		total += c.Bytes
	}
	return total
}

// Scan finds the finished dumps in dir, and in the directories of runs in it: dir may be a holding disk, or one run's
// directory wherever it was moved. They come in order of their paths.
func Scan(fsys vfs.FS, dir string) ([]Found, error) {
	runs, err := runDirs(fsys, dir)
	if err != nil {
		return nil, fmt.Errorf("scan holding: %w", err)
	}
	var found []Found
	for _, run := range append([]string{dir}, runs...) {
		entries, err := fsys.ReadDir(run)
		if err != nil {
			return nil, fmt.Errorf("scan holding: %w", err)
		}
		for _, e := range entries {
			if !e.Type().IsRegular() || e.Name() == pidFile || strings.HasSuffix(e.Name(), tmpSuffix) {
				continue
			}
			f, ok := look(fsys, path.Join(run, e.Name()))
			if ok {
				found = append(found, f)
			}
		}
	}
	return found, nil
}

// look tells whether name is the first chunk of a dump, or may have been.
func look(fsys vfs.FS, name string) (Found, bool) {
	header, _, err := readHeader(fsys, name)
	if err != nil {
		// In a run's directory all files are chunks: this one has lost its header.
		chunk := catalog.HoldingChunk{Path: name}
		return Found{Holding: catalog.Holding{Chunks: []catalog.HoldingChunk{chunk}}, Err: err}, isRunName(path.Base(path.Dir(name)))
	}
	if header.Type != vtape.TypeFile {
		return Found{}, false
	}
	return follow(fsys, name), true
}

// follow gathers the chunks of the dump that begins with the chunk named first. The others are looked for beside it,
// whatever directory CONT_FILENAME says.
func follow(fsys vfs.FS, first string) Found {
	var f Found
	seen := make(map[string]bool)
	for name := first; name != ""; {
		if seen[name] {
			f.Err = fmt.Errorf("holding chunk %s: the chunks go round in a circle", name)
			return f
		}
		seen[name] = true
		header, chunk, err := readHeader(fsys, name)
		if err == nil && len(f.Holding.Chunks) == 0 {
			f.Header = header
			f.Holding.Dump = header.DumpID()
		}
		if err == nil {
			if err = checkHeader(header, f.Holding.Dump, len(f.Holding.Chunks) == 0); err != nil {
				err = fmt.Errorf("holding chunk %s: %w", name, err)
			}
		}
		if err != nil {
			f.Err = err
			return f
		}
		f.Holding.Chunks = append(f.Holding.Chunks, chunk)
		name = ""
		if header.ContFilename != "" {
			name = path.Join(path.Dir(first), path.Base(header.ContFilename))
		}
	}
	if want := f.Header.Server.Bytes; want > 0 && want != f.Bytes() {
		f.Err = fmt.Errorf("holding chunk %s: the dump has %d bytes, its header says %d", first, f.Bytes(), want)
	}
	return f
}

// readHeader reads the header of a chunk; the chunk it gives has all but the checksum of data.
func readHeader(fsys vfs.FS, name string) (vtape.Header, catalog.HoldingChunk, error) {
	f, err := fsys.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return vtape.Header{}, catalog.HoldingChunk{}, fmt.Errorf("holding chunk %s: %w", name, vfs.Cause(err))
	}
	defer f.Close()
	header, chunk, err := readHeaderOf(f)
	if err != nil {
		return vtape.Header{}, catalog.HoldingChunk{}, fmt.Errorf("holding chunk %s: %w", name, err)
	}
	chunk.Path = name
	return header, chunk, nil
}

func readHeaderOf(f vfs.File) (vtape.Header, catalog.HoldingChunk, error) {
	info, err := f.Stat()
	if err != nil {
		return vtape.Header{}, catalog.HoldingChunk{}, err
	}
	block := make([]byte, vtape.HeaderBytes)
	if n, err := f.ReadAt(block, 0); n < len(block) {
		if err == io.EOF {
			err = errors.New("shorter than a header")
		}
		return vtape.Header{}, catalog.HoldingChunk{}, err
	}
	header, err := vtape.ParseHeader(block)
	return header, catalog.HoldingChunk{
		Bytes:     info.Size() - vtape.HeaderBytes,
		HeaderCRC: vtape.Checksum(block),
	}, err
}

// checkHeader makes sure that a chunk belongs where it was found.
func checkHeader(h vtape.Header, dump catalog.DumpID, first bool) error {
	want := vtape.TypeContFile
	if first {
		want = vtape.TypeFile
	}
	if h.Type != want {
		return fmt.Errorf("header of type %s, want %s", h.Type, want)
	}
	if id := h.DumpID(); id != dump {
		return fmt.Errorf("chunk of dump %s, want %s", id, dump)
	}
	return nil
}

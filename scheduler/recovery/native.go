package recovery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os/exec"
	"path"
	"strings"

	"holdfast/catalog"
	"holdfast/internal/frames"
	"holdfast/vtape"
	"holdfast/vtape/holding"
)

// Native is a dump that is not one of our image streams: it comes out as the stream that was backed up.
type Native struct {
	site *Site
	dump catalog.Dump
	// header is that of the first part: it says how the stream was compressed and encrypted.
	header vtape.Header
	place  stored
}

// OpenNative opens a dump of Amanda's, or any other, to be handed out as it was backed up. Close it.
func (s *Site) OpenNative(ctx context.Context, d catalog.Dump) (*Native, error) {
	header, err := s.header(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.ID, err)
	}
	places, err := s.openPlaces(ctx, d)
	if len(places) == 0 {
		return nil, fmt.Errorf("%s: %w", d.ID, errors.Join(ErrNoCopy, err))
	}
	for _, p := range places[1:] {
		_ = p.Close() // only read from
	}
	if header.Native.Sum == 0 && d.NativeCRC != 0 { // from Amanda's log
		header.Native = vtape.CRC{Sum: d.NativeCRC, Bytes: d.OrigBytes}
	}
	if header.Type == vtape.TypeSplitFile && header.Server.Bytes == 0 && d.StoredCRC == 0 && header.TotalParts < 1 {
		s.note("%s: its headers do not say how long it is: if its last parts are missing, nobody can tell", d.ID)
	}
	return &Native{site: s, dump: d, header: header, place: places[0]}, nil
}

// header gives the header of a dump, which says how its stream was made: the one that media were read with, or that of the
// first part that can be read.
func (s *Site) header(ctx context.Context, d catalog.Dump) (vtape.Header, error) {
	if m, ok := s.Catalog.(interface {
		Header(catalog.DumpID) vtape.Header
	}); ok {
		return m.Header(d.ID), nil
	}
	copies, err := s.Catalog.Copies(ctx, d.ID)
	if err != nil {
		return vtape.Header{}, err
	}
	held, err := s.Catalog.Holding(ctx, d.ID)
	if err != nil {
		return vtape.Header{}, err
	}
	var errs error
	if held != nil {
		r, err := holding.Open(s.FS, *held)
		if err == nil {
			defer r.Close() // only read from
			return r.Header(), nil
		}
		errs = err
	}
	for _, c := range copies {
		for _, p := range c.Parts {
			h, err := s.partHeader(ctx, p)
			if err == nil {
				return h, nil
			}
			errs = errors.Join(errs, err)
		}
	}
	return vtape.Header{}, errors.Join(ErrNoCopy, errs)
}

func (s *Site) partHeader(ctx context.Context, p catalog.Part) (vtape.Header, error) {
	dev, err := s.Device(ctx, p.Storage, p.Label)
	if err != nil {
		return vtape.Header{}, err
	}
	r, err := dev.Open(ctx, p.File)
	if err != nil {
		return vtape.Header{}, fmt.Errorf("volume %s file %d: %w", p.Label, p.File, err)
	}
	defer r.Close()
	h, err := vtape.ParseHeader(r.RawHeader())
	if err == nil && h.DumpID() != p.Dump {
		err = fmt.Errorf("file of dump %s", h.DumpID())
	}
	if err != nil {
		return h, fmt.Errorf("volume %s file %d: %w", p.Label, p.File, err)
	}
	return h, nil
}

// Close closes the dump.
func (n *Native) Close() error { return n.place.Close() }

// WriteTo writes the decoded stream to w. decrypt is the program to decrypt with, run as `PROGRAM OPTION` with the
// option that the header names; the header's own program is never run, for media are not trusted that far.
func (n *Native) WriteTo(ctx context.Context, w io.Writer, decrypt string) (int64, error) {
	var in io.Reader = io.NewSectionReader(n.place, 0, n.place.Size())
	if n.header.Encrypted {
		program, option := n.encryption()
		if decrypt == "" {
			return 0, fmt.Errorf("%s: the dump was encrypted by %s: %w", n.dump.ID, program, ErrNeedsProgram)
		}
		out, err := filter(ctx, in, decrypt, option)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", n.dump.ID, err)
		}
		defer out.Close() // ends the program when the reader gives up before it
		in = out
	}
	compress, err := n.compression()
	if err != nil {
		return 0, err
	}
	if compress != "" {
		dec, err := frames.NewStreamReader(in, compress, nil)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", n.dump.ID, err)
		}
		defer dec.Close()
		in = dec
	}
	sum := crc32.New(vtape.Castagnoli)
	written, err := io.Copy(io.MultiWriter(w, sum), in)
	if err != nil {
		return written, fmt.Errorf("%s: %w", n.dump.ID, err)
	}
	return written, n.checkNative(written, sum.Sum32())
}

// ErrNeedsProgram: the stream can only be decrypted by an outside program that the user has to name.
var ErrNeedsProgram = errors.New("needs a program to decrypt it")

func (n *Native) encryption() (program, option string) {
	if n.header.ServerEncrypt != "" {
		return n.header.ServerEncrypt, n.header.ServerDecryptOpt
	}
	return n.header.ClientEncrypt, n.header.ClientDecryptOpt
}

// compression gives "zstd", "gzip" or "" by the program or the suffix in the header.
func (n *Native) compression() (string, error) {
	program := n.header.ServerCompress
	if program == "" {
		program = n.header.ClientCompress
	}
	switch {
	case n.header.Compress == "N" || n.header.Compress == "":
		return "", nil
	case strings.HasPrefix(path.Base(program), "zstd") || n.header.Compress == ".zst":
		return "zstd", nil
	case strings.HasPrefix(path.Base(program), "gzip") || program == "" && n.header.Compress == ".gz":
		return "gzip", nil
	}
	return "", fmt.Errorf("%s: compressed with %q (%s), which is neither gzip nor zstd", n.dump.ID, program, n.header.Compress)
}

// checkNative compares with the header's checksum where it has one. A set of parity members gives the stream padded with
// zeros, so a longer one is not compared.
func (n *Native) checkNative(written int64, sum uint32) error {
	want := n.header.Native
	switch {
	case written < want.Bytes:
		return fmt.Errorf("%s: decoded stream has %d bytes, the header says %d", n.dump.ID, written, want.Bytes)
	case want.Bytes == 0 || want.Bytes != written || want.Sum == sum:
		return nil
	}
	return fmt.Errorf("%s: decoded stream has CRC %08x, the header says %08x", n.dump.ID, sum, want.Sum)
}

// filter runs a program on the stream; its output is read as it comes, and its failure is the reader's error.
func filter(ctx context.Context, in io.Reader, program, option string) (io.ReadCloser, error) {
	var args []string
	if option != "" {
		args = append(args, option)
	}
	cmd := exec.CommandContext(ctx, program, args...)
	var complaint bytes.Buffer
	cmd.Stdin, cmd.Stderr = in, &limitedBuffer{Buffer: &complaint, left: 4096}
	out, pipe := io.Pipe()
	cmd.Stdout = pipe
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		err := cmd.Wait()
		if err != nil {
			err = fmt.Errorf("%s: %w: %s", program, err, strings.TrimSpace(complaint.String()))
		}
		pipe.CloseWithError(err)
	}()
	return out, nil
}

// limitedBuffer keeps the beginning of what a program complains about.
type limitedBuffer struct {
	*bytes.Buffer
	left int
}

// Write keeps what fits and drops the rest.
func (l *limitedBuffer) Write(p []byte) (int, error) {
	k := min(len(p), l.left)
	l.left -= k
	l.Buffer.Write(p[:k])
	return len(p), nil
}

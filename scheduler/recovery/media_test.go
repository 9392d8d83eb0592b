package recovery_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/catalog"
	"holdfast/internal/vfs"
	"holdfast/scheduler/recovery"
	"holdfast/vtape"
)

// library lays the volumes out as slots of a library.
func (s *store) library() {
	s.t.Helper()
	s.must(s.fs.Mkdir("/lib", 0o700))
	for n := 1; n <= s.volumes; n++ {
		s.must(s.fs.Rename(fmt.Sprintf("/slots/V%03d", n), fmt.Sprintf("/lib/slot%d", n)))
	}
	s.must(s.fs.Mkdir(fmt.Sprintf("/lib/slot%d", s.volumes+1), 0o700))
}

func openDir(fsys vfs.FS, dirs ...string) (*recovery.Media, error) {
	var places []recovery.Place
	for _, dir := range dirs {
		p, err := recovery.DirPlace(context.Background(), fsys, dir)
		if err != nil {
			return nil, err
		}
		places = append(places, p)
	}
	return recovery.OpenMedia(context.Background(), fsys, places, nil)
}

func (s *store) media(dir string) (*recovery.Media, *recovery.Site) {
	s.t.Helper()
	m, err := openDir(s.fs, dir)
	s.must(err)
	site := s.site()
	site.Catalog, site.Device, site.Map = m, m.Device, nil
	return m, site
}

// TestMedia restores a chain from a library, from one slot and from a holding disk, without a catalog.
func TestMedia(t *testing.T) {
	s := newStore(t)
	disks := [][]byte{disk(1, 9*cluster+3)}
	dumps := []catalog.Dump{s.dump(disks[0], how{vm: "web"})}
	disks = append(disks, changed(1, disks[0]))
	dumps = append(dumps, s.dump(disks[1], how{vm: "web", base: &dumps[0], level: 1, encrypt: true}))
	small := disk(3, cluster)
	alone := s.dump(small, how{vm: "small"})
	for _, d := range dumps {
		s.hold(d, s.stored(d))
	}
	check := func(t *testing.T, dir string, d catalog.Dump, want []byte) {
		t.Helper()
		m, site := s.media(dir)
		found, err := recovery.Select(context.Background(), m, recovery.Wanted{VM: d.DLE.VM, Run: d.Stamp, Level: d.Level})
		s.must(err)
		c, err := site.OpenChain(context.Background(), found)
		s.must(err)
		defer c.Close()
		got := &target{data: bytes.Repeat([]byte{0xa5}, len(want))}
		s.must(c.WriteTo(context.Background(), got, false))
		same(t, dir, got.data, want)
		if len(m.Damaged) > 0 {
			t.Errorf("damaged: %v", m.Damaged)
		}
	}
	slot := "/slots/" + string(s.copies[alone.ID][0].Parts[0].Label)
	check(t, slot, alone, small)
	check(t, "/holding", dumps[1], disks[1])
	check(t, "/holding/"+string(dumps[0].Stamp), dumps[0], disks[0])
	s.library()
	check(t, "/lib", dumps[0], disks[0])
	check(t, "/lib", dumps[1], disks[1])
	check(t, "/lib", alone, small)
}

// TestMediaLacks: a dump of which a part is missing, or the base, is named with what is missing.
func TestMediaLacks(t *testing.T) {
	s := newStore(t)
	content := disk(1, 20*cluster)
	full := s.dump(content, how{vm: "web", plain: true})
	one := s.dump(changed(1, content), how{vm: "web", base: &full, level: 1})
	parts := s.copies[full.ID][0].Parts
	s.library()
	s.must(vfs.RemoveAll(s.fs, "/lib/slot"+strings.TrimLeft(string(parts[1].Label), "V0")))
	m, site := s.media("/lib")
	_, err := recovery.Select(context.Background(), m, recovery.Wanted{VM: "web", Level: 0})
	if !errors.Is(err, recovery.ErrNoDump) || !strings.Contains(err.Error(), "is partial") || !strings.Contains(err.Error(), "part 2 is missing") {
		t.Errorf("part missing: %v", err)
	}
	found, err := recovery.Select(context.Background(), m, recovery.Wanted{VM: "web", Level: 1})
	s.must(err)
	if c, err := site.OpenChain(context.Background(), found); err == nil || !strings.Contains(err.Error(), string(full.ID)) {
		if err == nil {
			c.Close()
		}
		t.Errorf("base partial: %v", err)
	}
	for _, p := range parts {
		_ = vfs.RemoveAll(s.fs, "/lib/slot"+strings.TrimLeft(string(p.Label), "V0"))
	}
	_, site = s.media("/lib")
	if c, err := site.OpenChain(context.Background(), one); err == nil || !strings.Contains(err.Error(), "its base "+string(full.ID)+" is not") {
		if err == nil {
			c.Close()
		}
		t.Errorf("base missing: %v", err)
	}
	for _, dir := range []string{"/nowhere", "/out"} {
		if _, err := openDir(s.fs, dir); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// native puts a stream on a volume that is not one of ours.
func (s *store) native(stored []byte, change func(h *vtape.Header)) catalog.Dump {
	s.t.Helper()
	h := vtape.Header{
		Stamp: string(stampAt(len(s.dumps))), Host: "amanda", Disk: "/var", Level: 0, Compress: "N", Program: "GNUTAR",
		Server: vtape.CRC{Sum: crc32.Checksum(stored, vtape.Castagnoli), Bytes: int64(len(stored))},
	}
	change(&h)
	d := recovery.DumpFromHeader(h)
	s.dumps, s.headers[d.ID] = append(s.dumps, d), h
	s.tape(d, stored, 0)
	return d
}

// TestNative: streams of others come out as they were backed up, whatever they were packed in.
func TestNative(t *testing.T) {
	content := disk(1, 5*cluster+1)
	var zipped bytes.Buffer
	zw := gzip.NewWriter(&zipped)
	if _, err := zw.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	sum := crc32.Checksum(content, vtape.Castagnoli)
	size := int64(len(content))
	crypt := func(h *vtape.Header) {
		h.Encrypted, h.ServerEncrypt, h.ServerDecryptOpt = true, "/usr/bin/amcrypt", "-d"
	}
	for _, c := range []struct {
		name    string
		stored  []byte
		change  func(h *vtape.Header)
		decrypt string // a shell script
		err     string
	}{
		{"as it is", content, func(*vtape.Header) {}, "", ""},
		{"with its checksum", content, func(h *vtape.Header) { h.Native = vtape.CRC{Sum: sum, Bytes: size} }, "", ""},
		{"with another checksum", content, func(h *vtape.Header) { h.Native = vtape.CRC{Sum: sum + 1, Bytes: size} }, "", "decoded stream has CRC"},
		{"padded by a set of volumes", append(bytes.Clone(content), 0, 0, 0), func(h *vtape.Header) { h.Native = vtape.CRC{Sum: sum, Bytes: size} }, "", ""},
		{"cut short", content[:size-9], func(h *vtape.Header) { h.Native = vtape.CRC{Sum: sum, Bytes: size} }, "", "decoded stream has"},
		{"gzip", zipped.Bytes(), func(h *vtape.Header) { h.Compress, h.ServerCompress = ".gz", "/bin/gzip" }, "", ""},
		{"gzip by its suffix", zipped.Bytes(), func(h *vtape.Header) { h.Compress = ".gz" }, "", ""},
		{"gzip, cut short", zipped.Bytes()[:zipped.Len()-9], func(h *vtape.Header) { h.Compress = ".gz" }, "", "unexpected EOF"},
		{"something else", content, func(h *vtape.Header) { h.Compress, h.ServerCompress = ".xz", "/bin/xz" }, "", "neither gzip nor zstd"},
		{"encrypted, and no program", content, crypt, "", "was encrypted by /usr/bin/amcrypt: needs a program to decrypt it"},
		{"encrypted", content, crypt, `[ "$1" = -d ] && cat`, ""},
		{"encrypted, and the program fails", content, crypt, "echo wrong key >&2; exit 3", "exit status 3: wrong key"},
		{"encrypted, and the program is missing", content, crypt, "-", "no such file"},
		{"encrypted gzip", zipped.Bytes(), func(h *vtape.Header) { crypt(h); h.Compress = ".gz" }, "cat", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStore(t)
			d := s.native(c.stored, c.change)
			if chain, err := s.site().OpenChain(context.Background(), d); !errors.Is(err, recovery.ErrNative) {
				t.Errorf("opened as a chain: %v, %v", chain, err)
			}
			n, err := s.site().OpenNative(context.Background(), d)
			s.must(err)
			defer n.Close()
			program := ""
			if c.decrypt != "" {
				program = filepath.Join(t.TempDir(), "decrypt")
				if c.decrypt != "-" {
					s.must(os.WriteFile(program, []byte("#!/bin/sh\n"+c.decrypt+"\n"), 0o700))
				}
			}
			var out bytes.Buffer
			_, err = n.WriteTo(context.Background(), &out, program)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("%v, want %s", err, c.err)
				}
				return
			}
			s.must(err)
			same(t, "stream", out.Bytes()[:size], content)
		})
	}
}

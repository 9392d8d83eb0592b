package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"holdfast/vtape"
)

// exportDir is Amanda's configuration for the storage of the site.
const exportDir = "export/vtapes"

// twoNights runs two nights and keeps the images of each as VM.raw.LEVEL.
func (s *amandaSite) twoNights() {
	s.Helper()
	noise := map[string]int{"plain": 5 << 19, "zst": 3 << 19, "enc": 1 << 20, "direct": 1 << 20}
	for vm, length := range noise {
		s.rawImage(vm+".raw", length)
		s.keep(vm+".raw", vm+".raw.0")
	}
	s.night("2026-03-01 01:00")
	for vm := range noise {
		s.change(vm+".raw", 1<<20+70000, 100_000)
		s.change(vm+".raw", 7<<19, 50_000)
		s.keep(vm+".raw", vm+".raw.1")
	}
	s.night("2026-03-02 01:00")
	s.handOver()
}

// Amanda's own commands list, check and restore what two nights of holdfast have written: levels 0 and 1, in one part and
// in several over several volumes, plain, compressed and encrypted. The chains decode to the images.
func TestAmandaReadsOurMedia(t *testing.T) {
	s := newAmandaSite(t)
	s.twoNights()
	parts := s.parts()
	dumps := byDump(parts)
	t.Run("media", func(t *testing.T) { checkShapes(t, dumps) })
	t.Run("amrestore", func(t *testing.T) { checkChains(t, s, dumps, (*amandaSite).amrestore) })
	s.export()
	t.Run("amtape", func(t *testing.T) { checkAmtape(t, s, parts) })
	t.Run("find", func(t *testing.T) { checkFind(t, s, parts) })
	t.Run("amcheckdump", func(t *testing.T) { checkAmcheckdump(t, s, parts) })
	t.Run("amfetchdump", func(t *testing.T) { checkChains(t, s, dumps, (*amandaSite).amfetchdump) })
	t.Run("amreport", func(t *testing.T) { checkAmreport(t, s, parts) })
}

// checkShapes makes sure that the nights have made what the test is about.
func checkShapes(t *testing.T, dumps map[string][]partFile) {
	if len(dumps) != 8 {
		t.Fatalf("%d dumps, want 8", len(dumps))
	}
	for name, parts := range dumps {
		volumes := map[string]bool{}
		for _, p := range parts {
			volumes[p.slot] = true
		}
		switch full := parts[0].Level == 0; {
		case full && len(parts) < 3, !full && len(parts) != 1:
			t.Errorf("%s has %d parts", name, len(parts))
		case full && (parts[0].Host == "plain" || parts[0].Host == "zst") && len(volumes) < 2:
			t.Errorf("%s lies on one volume", name)
		}
	}
}

func checkAmtape(t *testing.T, s *amandaSite, parts []partFile) {
	_, show := s.amanda(exportDir, "amtape", ".", "show")
	for _, p := range parts {
		want := fmt.Sprintf("slot%4s: date %s label %s\n", strings.TrimPrefix(p.slot, "slot"), p.volume.Stamp, p.volume.Label)
		if !strings.Contains(show, want) {
			t.Errorf("amtape does not say %q: %s", want, show)
		}
	}
}

// checkChains restores every dump by its standard name into one directory, and compares the disk that qemu-img sees in
// each with the image.
func checkChains(t *testing.T, s *amandaSite, dumps map[string][]partFile, restore func(*amandaSite, string, []partFile) []byte) {
	var names []string
	for name, parts := range dumps {
		s.write(name, restore(s, name, parts))
		names = append(names, name)
	}
	for _, name := range names {
		p := dumps[name][0]
		s.sameDisk(fmt.Sprintf("%s.raw.%d", p.Host, p.Level), "raw", name, "qcow2")
	}
	for _, name := range names {
		if err := os.Remove(s.path(name)); err != nil {
			t.Fatal(err)
		}
	}
}

// amrestore gets a dump out of the volumes it lies on. A dump in one part comes out decoded. Of one in several parts the
// stored bytes are joined and decoded: by zstd after amrestore -c, and by hand after amrestore -r when encrypted, for
// amrestore decrypts each part by itself even with -c.
func (s *amandaSite) amrestore(name string, parts []partFile) []byte {
	s.Helper()
	first := parts[0]
	option, skip := "", 0
	if len(parts) > 1 && first.Encrypted {
		option, skip = "-r", vtape.HeaderBytes
	} else if len(parts) > 1 && first.Compress != "N" {
		option = "-c"
	}
	s.restoreParts(option, parts)
	files, err := filepath.Glob(s.path("out/*"))
	if err != nil || len(files) != len(parts) {
		s.Fatalf("%s: amrestore made %d files of %d parts (%v)", name, len(files), len(parts), err)
	}
	var stream bytes.Buffer
	for _, file := range files { // named by the part number, seven digits
		data, err := os.ReadFile(file)
		if err != nil {
			s.Fatal(err)
		}
		stream.Write(data[skip:])
		if err := os.Remove(file); err != nil {
			s.Fatal(err)
		}
	}
	if option == "" {
		return stream.Bytes()
	}
	if first.Encrypted {
		stream = *bytes.NewBuffer(s.filter(&stream, "age", "-d", "-i", s.path("identity")))
	}
	return s.filter(&stream, "zstd", "-d")
}

// restoreParts runs amrestore on each volume that has one of the parts.
func (s *amandaSite) restoreParts(option string, parts []partFile) {
	s.Helper()
	slots := map[string]bool{}
	for _, p := range parts {
		if slots[p.slot] {
			continue
		}
		slots[p.slot] = true
		args := []string{"file:" + s.path("vtapes/"+p.slot), p.Host, p.Disk, p.Stamp}
		if option != "" {
			args = append([]string{option}, args...)
		}
		s.amanda("out", "amrestore", args...)
	}
}

func (s *amandaSite) filter(in *bytes.Buffer, name string, args ...string) []byte {
	s.Helper()
	cmd := exec.Command(name, args...)
	var errs bytes.Buffer
	cmd.Stdin, cmd.Stderr = in, &errs
	out, err := cmd.Output()
	if err != nil {
		s.Fatalf("%s: %v: %s", name, err, errs.String())
	}
	return out
}

// amfetchdump gets a dump by Amanda's catalog, joined and decoded.
func (s *amandaSite) amfetchdump(_ string, parts []partFile) []byte {
	s.Helper()
	p := parts[0]
	stream, _ := s.amanda(exportDir, "amfetchdump", "-p", ".", p.Host, p.Disk, p.Stamp, strconv.Itoa(int(p.Level)))
	return []byte(stream)
}

var blanks = regexp.MustCompile(` +`)

func checkFind(t *testing.T, s *amandaSite, parts []partFile) {
	find, _ := s.amanda(exportDir, "amadmin", ".", "find")
	find = blanks.ReplaceAllString(find, " ")
	for _, p := range parts {
		want := fmt.Sprintf(" %s %d %d/%d OK", p.volume.Label, p.number, p.Part, len(byDump(parts)[p.name()]))
		if !strings.Contains(find, want) {
			t.Errorf("amadmin find does not say %q: %s", want, find)
		}
	}
	if got := strings.Count(find, " OK"); got != len(parts) {
		t.Errorf("amadmin find shows %d parts, want %d: %s", got, len(parts), find)
	}
}

// Amanda reads every dump whole, decodes it, and compares with the checksums that our headers give.
func checkAmcheckdump(t *testing.T, s *amandaSite, parts []partFile) {
	for _, run := range []string{parts[0].volume.Stamp, parts[len(parts)-1].volume.Stamp} {
		out, _ := s.amanda(exportDir, "amcheckdump", "-t", run, ".")
		if !strings.Contains(out, "All images (4) successfully validated") {
			t.Errorf("amcheckdump of run %s: %s", run, out)
		}
	}
}

// Amanda's own report is made of the logs.
func checkAmreport(t *testing.T, s *amandaSite, parts []partFile) {
	for stamp, labels := range map[string]string{parts[0].volume.Stamp: "HF-001, HF-002, HF-003, HF-004", parts[len(parts)-1].volume.Stamp: "HF-005"} {
		report, _ := s.amanda(exportDir, "amreport", ".", "--log="+s.path(exportDir+"/log/log."+stamp+".0"))
		if want := "These dumps were to tape"; !strings.Contains(report, want) || !strings.Contains(report, labels+".") {
			t.Errorf("amreport does not say %q %s: %s", want, labels, report)
		}
		for _, bad := range []string{"FAIL", "did not finish", "STRANGE"} {
			if strings.Contains(report, bad) {
				t.Errorf("amreport says %q: %s", bad, report)
			}
		}
	}
}

// Amanda reads what a run without volumes has left on the holding disk, chunk after chunk.
func TestAmandaReadsOurHoldingDisk(t *testing.T) {
	s := newAmandaSite(t)
	for _, vm := range []string{"plain", "zst", "enc"} {
		s.rawImage(vm+".raw", 5<<18)
	}
	s.night("2026-03-01 01:00", "--no-taper", "plain", "zst", "enc")
	s.handOver()
	for _, vm := range []string{"plain", "zst", "enc"} {
		name := vm + ".disk0.20260301010000.0"
		if chunks, _ := filepath.Glob(s.path("holding/20260301010000/" + vm + ".disk0.0*")); len(chunks) < 3 {
			t.Errorf("%s: chunks %v, want several", vm, chunks)
		}
		s.amanda("out", "amrestore", s.path("holding/20260301010000/"+vm+".disk0.0"))
		s.sameDisk(vm+".raw", "raw", "out/"+name+".0000001", "qcow2")
	}
	s.export()
	find, _ := s.amanda(exportDir, "amadmin", ".", "find")
	for _, vm := range []string{"plain", "zst", "enc"} {
		if want := s.path("holding/20260301010000/" + vm + ".disk0.0"); !strings.Contains(find, want) {
			t.Errorf("amadmin find does not say %q: %s", want, find)
		}
		stream, _ := s.amanda(exportDir, "amfetchdump", "-p", ".", vm, "disk0", "20260301010000")
		s.write(vm+".qcow2", []byte(stream))
		s.sameDisk(vm+".raw", "raw", vm+".qcow2", "qcow2")
	}
}

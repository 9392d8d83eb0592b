package devicetest_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"

	"holdfast/internal/vfs"
	"holdfast/vtape"
	"holdfast/vtape/devicetest"
	"holdfast/vtape/dir"
)

// defectVariable names the defect of the device in the process that runs the suite on it.
const defectVariable = "DEVICETEST_DEFECT"

// defective is a good device with one thing wrong.
type defective struct {
	*dir.Device
	defect string
}

func (d defective) is(defect string) bool { return d.defect == defect }

func (d defective) ReadLabel(ctx context.Context) (vtape.Header, error) {
	h, err := d.Device.ReadLabel(ctx)
	if d.is("label without stamp") {
		h.Stamp = ""
	}
	if d.is("foreign when blank") && errors.Is(err, vtape.ErrBlank) {
		err = vtape.ErrForeign
	}
	return h, err
}

func (d defective) Format(ctx context.Context, h vtape.Header) error {
	if _, err := d.Device.ReadLabel(ctx); err == nil && d.is("labelled, not erased") {
		return nil
	}
	return d.Device.Format(ctx, h)
}

func (d defective) Files(ctx context.Context) ([]vtape.File, error) {
	list, err := d.Device.Files(ctx)
	if d.is("last file not listed") && len(list) > 2 {
		list = list[:len(list)-1]
	}
	return list, err
}

func (d defective) Room(ctx context.Context) (int64, error) {
	room, err := d.Device.Room(ctx)
	if d.is("room of the label twice") {
		room -= vtape.HeaderBytes
	}
	return room, err
}

func (d defective) Create(ctx context.Context, number int, h vtape.Header) (vtape.PartWriter, error) {
	if d.is("never cancelled") {
		ctx = context.WithoutCancel(ctx)
	}
	w, err := d.Device.Create(ctx, number, h)
	if d.is("written over") && errors.Is(err, fs.ErrExist) {
		err = d.Device.Remove(ctx, number)
		if err == nil {
			w, err = d.Device.Create(ctx, number, h)
		}
	}
	if err != nil {
		return nil, err
	}
	block, err := h.Block()
	return defectiveWriter{w, d, vtape.Checksum(block)}, err
}

func (d defective) Open(ctx context.Context, number int) (vtape.PartReader, error) {
	r, err := d.Device.Open(ctx, number)
	if err != nil {
		return nil, err
	}
	return defectiveReader{r, d}, nil
}

func (d defective) Remove(ctx context.Context, number int) error {
	if err := d.Device.Remove(ctx, number); !errors.Is(err, vtape.ErrNoFile) || !d.is("nothing removed") {
		return err
	}
	return nil
}

type defectiveWriter struct {
	vtape.PartWriter
	d     defective
	first uint32 // checksum of the header that Create was given
}

func (w defectiveWriter) Close() (uint32, error) {
	crc, err := w.PartWriter.Close()
	if w.d.is("wrong checksum") {
		crc++
	}
	if w.d.is("checksum of the first header") {
		crc = w.first
	}
	return crc, err
}

func (w defectiveWriter) Abort() error {
	if w.d.is("aborted file stays") {
		_, _ = w.PartWriter.Close() // closed already, or too late
	}
	return w.PartWriter.Abort()
}

type defectiveReader struct {
	vtape.PartReader
	d defective
}

func (r defectiveReader) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.PartReader.ReadAt(p, off)
	if r.d.is("a byte wrong at the end") && n > 0 && err != nil {
		p[n-1]++
	}
	return n, err
}

// TestDefective runs the suite in the process that TestSuiteFails starts. Without a defect the device passes.
func TestDefective(t *testing.T) {
	devicetest.Run(t, func(t testing.TB, capacityBytes int64) vtape.Device {
		mem := vfs.NewMem()
		if err := mem.Mkdir("/v", 0o755); err != nil {
			t.Fatal(err)
		}
		return defective{dir.New(mem, "/v", dir.Options{CapacityBytes: capacityBytes}), os.Getenv(defectVariable)}
	})
}

// The suite fails with each defect, in a test that is about it.
func TestSuiteFails(t *testing.T) {
	for defect, test := range map[string]string{
		"label without stamp":          "Label",
		"foreign when blank":           "Blank",
		"labelled, not erased":         "RelabelErases",
		"last file not listed":         "ManyParts",
		"room of the label twice":      "Room",
		"never cancelled":              "Cancelled",
		"written over":                 "Misuse",
		"nothing removed":              "Remove",
		"checksum of the first header": "HeaderSetLate",
		"wrong checksum":               "CreateAndRead",
		"aborted file stays":           "Abort",
		"a byte wrong at the end":      "CreateAndRead",
	} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestDefective$")
		cmd.Env = append(os.Environ(), defectVariable+"="+defect)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || !strings.Contains(string(out), "--- FAIL: TestDefective/"+test+" ") {
			t.Errorf("%s: %v, and %s does not fail:\n%s", defect, err, test, out)
		}
	}
}

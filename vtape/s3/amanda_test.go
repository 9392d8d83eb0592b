package s3_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"os"
	"testing"

	"holdfast/vtape"
	"holdfast/vtape/s3"
)

// Amanda's own objects are read to the byte: labels, headers, data in blocks of any size and in one object. The sums
// are those that Amanda's own commands gave.
func TestAmandasObjects(t *testing.T) {
	server := start(t)
	root := os.DirFS("testdata/amanda")
	must(t, fs.WalkDir(root, ".", func(key string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			var body []byte
			if body, err = fs.ReadFile(root, key); err == nil {
				server.Put(t, bucket, key, body)
			}
		}
		return err
	}))
	store := open(t, options(server.URL))
	for _, volume := range []struct {
		prefix, label string
		files         []amandaFile
	}{
		{"fxs3-01-", "FXAS3-01", []amandaFile{
			{"s3img", 1, "efe0a96e4c9c1816918577ec1f5e71c62f055ae112bf1b5d1d527dce57b4af54", 65536},
			{"s3img", 2, "c5111832715577430d7f5c1bf47e227bdd9161ea9a2dadc5f758906579279dc3", 36897},
			{"s3gz", 1, "72fc422d8072ad302c15806ea34edc86599fd4e1d30213466f572b1404421387", 2633},
		}},
		{"big/vol1-", "FXAS3BIG-01", []amandaFile{
			{"s3img", 1, "a5b95a97480bd86b01ffba9fc7e852c467b4d4b50d6f54af8805afbafe39a9a2", 46113},
		}},
		{"mp1/", "FXAS3MP-01", []amandaFile{
			{"s3img", 1, "3fd0f3c8a673779f7533c6b15831cc9eecf7b2aca6f5c027da880a06dd4fe03d", 46113},
		}},
	} {
		dev := store.Device(volume.prefix)
		label, err := dev.ReadLabel(ctx)
		if err != nil || string(label.Label) != volume.label {
			t.Errorf("%s: label %q, %v", volume.prefix, label.Label, err)
		}
		list, err := dev.Files(ctx)
		if err != nil || len(list) != len(volume.files) {
			t.Fatalf("%s: files %v, %v", volume.prefix, list, err)
		}
		for i, want := range volume.files {
			if list[i] != (vtape.File{Number: i + 1, Bytes: want.bytes}) {
				t.Errorf("%s: file %d: %+v", volume.prefix, i+1, list[i])
			}
			checkAmandaFile(t, dev, i+1, want)
		}
		if n, err := dev.CleanUp(ctx); n != 0 || err != nil {
			t.Errorf("%s: a clean-up removes %d, %v", volume.prefix, n, err)
		}
	}
}

type amandaFile struct {
	disk   string
	part   int
	sha256 string
	bytes  int64
}

func checkAmandaFile(t *testing.T, dev *s3.Device, number int, want amandaFile) {
	t.Helper()
	r, err := dev.Open(ctx, number)
	must(t, err)
	defer r.Close()
	if h := r.Header(); h.Disk != want.disk || h.Part != want.part || h.Host != "localhost" || h.Application != "amraw" {
		t.Errorf("file %d: header %+v", number, h)
	}
	if raw := r.RawHeader(); len(raw) != vtape.HeaderBytes {
		t.Errorf("file %d: header of %d bytes", number, len(raw))
	}
	sum := sha256.New()
	if n, err := io.Copy(sum, io.NewSectionReader(r, 0, 1<<40)); n != want.bytes || err != nil {
		t.Errorf("file %d: %d bytes, %v", number, n, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want.sha256 {
		t.Errorf("file %d: SHA-256 %s", number, got)
	}
	// Over the border of blocks.
	at := make([]byte, 10)
	if n, err := r.ReadAt(at, min(32760, want.bytes-10)); n != 10 || err != nil && err != io.EOF {
		t.Errorf("file %d: read at a border: %d, %v", number, n, err)
	}
}

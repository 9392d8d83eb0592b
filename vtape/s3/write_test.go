package s3_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"holdfast/catalog"
	"holdfast/internal/s3test"
	"holdfast/vtape"
	"holdfast/vtape/devicetest"
	"holdfast/vtape/s3"
)

// Of writers that take one volume at once, blank or labelled, one gets it, and what it then writes stays.
func TestRaceForALabel(t *testing.T) {
	server := start(t)
	proxy := s3test.NewProxy(t, server)
	for _, labelled := range []bool{false, true} {
		for round := range 10 {
			prefix := fmt.Sprintf("race-%v-%d/", labelled, round)
			if labelled {
				old := open(t, options(server.URL)).Device(prefix)
				must(t, old.Format(ctx, devicetest.Label("OLD")))
				devicetest.Write(t, old, 1, devicetest.Header(1), []byte("old"))
			}
			var wg sync.WaitGroup
			var mu sync.Mutex // guards won
			var won []string
			// All have read the label before one writes it: one that came later could take the volume over by right.
			proxy.Plan(nil)
			proxy.Meet(4, func(r s3test.Request) bool { return isLabel(r, "GET", prefix) })
			for w := range 4 {
				dev := open(t, options(proxy.URL)).Device(prefix)
				wg.Go(func() {
					// All with the same label: it is not its text that tells them apart.
					err := dev.Format(ctx, devicetest.Label("NEW"))
					if err != nil && !errors.Is(err, s3.ErrTaken) {
						t.Errorf("format: %v", err)
					}
					text := fmt.Sprint("writer ", w)
					if err == nil && writePart(dev, 1, []byte(text)) == nil {
						mu.Lock()
						defer mu.Unlock()
						won = append(won, text)
					}
				})
			}
			wg.Wait()
			if len(won) != 1 {
				t.Fatalf("%s: %q wrote file 1, want one of them", prefix, won)
			}
			devicetest.Check(t, open(t, options(server.URL)).Device(prefix), 1, devicetest.Header(1), []byte(won[0]))
		}
	}
}

// isLabel tells whether a request is about the label of a volume under this prefix.
func isLabel(r s3test.Request, method, prefix string) bool {
	return r.Method == method && strings.HasSuffix(r.Path, "/"+prefix+"special-tapestart")
}

// meanwhile gives a device that does something once, just before the request meant is passed on.
func meanwhile(t *testing.T, server *s3test.Server, prefix string, meant func(s3test.Request) bool, do func()) *s3.Device {
	proxy := s3test.NewProxy(t, server)
	done := false
	proxy.Plan(func(r s3test.Request) s3test.Fault {
		if !done && meant(r) {
			done = true
			do()
		}
		return s3test.Pass
	})
	t.Cleanup(func() {
		proxy.Plan(nil)
		if !done {
			t.Error("the moment did not come")
		}
	})
	return open(t, options(proxy.URL)).Device(prefix)
}

// Who comes too late to label a blank volume takes nothing from who was first, wherever in between that one labels it and writes.
func TestLoserRemovesNothing(t *testing.T) {
	server := start(t)
	for name, meant := range map[string]func(s3test.Request) bool{
		"list":  func(r s3test.Request) bool { return r.Method == "GET" && r.Query.Get("list-type") == "2" },
		"label": func(r s3test.Request) bool { return isLabel(r, "PUT", "label-") },
	} {
		t.Run(name, func(t *testing.T) {
			prefix := name + "-"
			first := open(t, options(server.URL)).Device(prefix)
			second := meanwhile(t, server, prefix, meant, func() {
				must(t, first.Format(ctx, devicetest.Label("DEMO-001")))
				devicetest.Write(t, first, 1, devicetest.Header(1), []byte("of the first"))
			})
			if err := second.Format(ctx, devicetest.Label("DEMO-001")); !errors.Is(err, s3.ErrTaken) {
				t.Errorf("format: %v", err)
			}
			devicetest.Check(t, first, 1, devicetest.Header(1), []byte("of the first"))
		})
	}
}

// What is written to a volume while another labels it anew is gone when that one is done, or its writer is told.
func TestRelabelledMeanwhile(t *testing.T) {
	server := start(t)
	empty := func(t *testing.T, dev *s3.Device) {
		if files, err := dev.Files(ctx); err != nil || len(files) > 0 {
			t.Errorf("the new volume has files: %v, %v", files, err)
		}
	}
	t.Run("a part", func(t *testing.T) {
		var tag string
		first := open(t, options(server.URL)).Device("a-")
		must(t, first.Format(ctx, devicetest.Label("DEMO-001")))
		tag = first.Tag()
		second := meanwhile(t, server, "a-", func(r s3test.Request) bool {
			return isLabel(r, "PUT", "a-") && r.Header.Get("If-Match") == tag
		}, func() { devicetest.Write(t, first, 1, devicetest.Header(1), []byte("of the first")) })
		must(t, second.Format(ctx, devicetest.Label("DEMO-001")))
		empty(t, second)
	})
	t.Run("a header", func(t *testing.T) {
		second := open(t, options(server.URL)).Device("b-")
		first := meanwhile(t, server, "b-", func(r s3test.Request) bool {
			return r.Method == "PUT" && strings.HasSuffix(r.Path, "-filestart")
		}, func() { must(t, second.Format(ctx, devicetest.Label("DEMO-001"))) })
		must(t, first.Format(ctx, devicetest.Label("DEMO-001")))
		w, err := first.Create(ctx, 1, devicetest.Header(1))
		must(t, err)
		_, err = w.Write([]byte("of the first"))
		must(t, err)
		if _, err := w.Close(); !errors.Is(err, s3.ErrTaken) {
			t.Errorf("close: %v", err)
		}
		must(t, w.Abort())
		empty(t, second)
	})
}

// A volume without a label that holds files is foreign until all of them are gone: killed in between, it is no new volume.
func TestForcedBlank(t *testing.T) {
	server := start(t)
	dev := open(t, options(server.URL)).Device("v-")
	must(t, dev.Format(ctx, devicetest.Label("OLD")))
	devicetest.Write(t, dev, 1, devicetest.Header(1), []byte("old"))
	_, err := server.Client().DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: aws.String(bucket), Key: aws.String("v-special-tapestart")})
	must(t, err)
	cut := s3test.NewProxy(t, server)
	cut.Plan(func(r s3test.Request) s3test.Fault {
		if r.Method == "DELETE" {
			return s3test.CutRequest
		}
		return s3test.Pass
	})
	if err := open(t, options(cut.URL)).Device("v-").Format(ctx, devicetest.Label("NEW")); err == nil {
		t.Error("format: no error, and nothing was removed")
	}
	if _, err := dev.ReadLabel(ctx); !errors.Is(err, vtape.ErrForeign) {
		t.Errorf("label: %v", err)
	}
	must(t, dev.Format(ctx, devicetest.Label("NEW")))
	if files, err := dev.Files(ctx); err != nil || len(files) > 0 {
		t.Errorf("the new volume has files: %v, %v", files, err)
	}
}

// A writer whose volume was labelled anew by another stops, and leaves the other's file alone.
func TestLabelTakenMeanwhile(t *testing.T) {
	server := start(t)
	first, second := open(t, options(server.URL)).Device("v-"), open(t, options(server.URL)).Device("v-")
	must(t, first.Format(ctx, devicetest.Label("DEMO-001")))
	w, err := first.Create(ctx, 1, devicetest.Header(1))
	must(t, err)
	_, err = w.Write([]byte("of the first"))
	must(t, err)
	must(t, second.Format(ctx, devicetest.Label("DEMO-001")))
	if _, err := w.Close(); !errors.Is(err, s3.ErrTaken) {
		t.Errorf("close: %v", err)
	}
	must(t, w.Abort())
	devicetest.Write(t, second, 1, devicetest.Header(1), []byte("of the second"))
	devicetest.Check(t, second, 1, devicetest.Header(1), []byte("of the second"))

	// Two that are at the same file: the one that is done first has it.
	a, err := second.Create(ctx, 2, devicetest.Header(2))
	must(t, err)
	_, err = a.Write([]byte("a"))
	must(t, err)
	devicetest.Write(t, second, 2, devicetest.Header(2), []byte("b"))
	if _, err := a.Close(); !errors.Is(err, s3.ErrTaken) {
		t.Errorf("close of a file that is there: %v", err)
	}
	must(t, a.Abort())
	devicetest.Check(t, second, 2, devicetest.Header(2), []byte("b"))
	if _, err := second.Create(ctx, 2, devicetest.Header(2)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("create of a file that is there: %v", err)
	}
}

// A store that ignores conditions, or does not know them, is refused, and the volume is as it was; unless that is allowed.
func TestStoreWithoutConditions(t *testing.T) {
	server := start(t)
	proxy := s3test.NewProxy(t, server)
	for _, fault := range []s3test.Fault{s3test.Ignore, s3test.Unknown} {
		conditional := func(r s3test.Request) s3test.Fault {
			if r.Header.Get("If-Match")+r.Header.Get("If-None-Match") != "" && r.Method != "GET" {
				return fault
			}
			return s3test.Pass
		}
		prefix := string(fault) + "/"
		dev := open(t, options(proxy.URL)).Device(prefix)
		proxy.Plan(conditional)
		if err := dev.Format(ctx, devicetest.Label("DEMO-001")); !errors.Is(err, s3.ErrUnconditional) {
			t.Errorf("%s: format of a blank volume: %v", fault, err)
		}
		if _, err := dev.ReadLabel(ctx); !errors.Is(err, vtape.ErrBlank) {
			t.Errorf("%s: label: %v", fault, err)
		}
		proxy.Plan(nil)
		must(t, dev.Format(ctx, devicetest.Label("DEMO-001")))
		devicetest.Write(t, dev, 1, devicetest.Header(1), []byte("x"))
		proxy.Plan(conditional)
		if err := dev.Format(ctx, devicetest.Label("DEMO-002")); !errors.Is(err, s3.ErrUnconditional) {
			t.Errorf("%s: relabel: %v", fault, err)
		}
		devicetest.Check(t, dev, 1, devicetest.Header(1), []byte("x"))

		o := options(proxy.URL)
		o.AllowUnconditional = true
		for _, prefix := range []string{prefix, prefix + "blank-"} {
			dev = open(t, o).Device(prefix)
			must(t, dev.Format(ctx, devicetest.Label("DEMO-003")))
			devicetest.Write(t, dev, 1, devicetest.Header(1), []byte("y"))
			devicetest.Check(t, dev, 1, devicetest.Header(1), []byte("y"))
		}
		proxy.Plan(nil)
	}
}

const mib = 1 << 20

// pieces counts the pieces that were sent, and their bytes.
func pieces(proxy *s3test.Proxy) (n int, bytes int64) {
	for _, r := range proxy.Requests() {
		if r.Is("UploadPart") {
			n++
			bytes += r.Bytes
		}
	}
	return n, bytes
}

// A part that was cut off is written again by sending only what is missing, or what differs.
func TestResume(t *testing.T) {
	server := start(t)
	proxy := s3test.NewProxy(t, server)
	for _, checksum := range []s3.Checksum{s3.ChecksumCRC32C, s3.ChecksumNone} {
		o := options(proxy.URL)
		o.Checksum, o.Attempts, o.Connections = checksum, 1, 1
		dev := open(t, o).Device(string(checksum) + "-")
		must(t, dev.Format(ctx, devicetest.Label("DEMO-001")))
		data := devicetest.Data(1, 27*mib)

		// The power goes with the fourth piece: nobody aborts. Pieces go side by side, so the third may still come.
		down := false
		proxy.Plan(func(r s3test.Request) s3test.Fault {
			number, _ := strconv.Atoi(r.Query.Get("partNumber"))
			down = down || number >= 4
			if number >= 4 || down && number == 0 {
				return s3test.CutRequest
			}
			return s3test.Pass
		})
		w, err := dev.Create(ctx, 1, devicetest.Header(1))
		must(t, err)
		if _, err = w.Write(data); err == nil {
			_, err = w.Close()
		}
		if err == nil {
			t.Fatal("cut connections, and no error")
		}
		s3.WaitForPieces(w)
		sent := server.Keys(t, bucket)
		if !slices.Contains(sent, "upload "+string(checksum)+"-f00000001-mp.data") {
			t.Fatalf("no upload to resume: %q", sent)
		}

		// The second piece has other bytes now.
		proxy.Plan(nil)
		data[7*mib]++
		devicetest.Write(t, open(t, o).Device(string(checksum)+"-"), 1, devicetest.Header(1), data)
		n, bytes := pieces(proxy)
		if n != 4 || bytes != 5*mib+(27-15)*mib {
			t.Errorf("%s: %d pieces of together %d bytes were sent", checksum, n, bytes)
		}
		devicetest.Check(t, dev, 1, devicetest.Header(1), data)
		if keys := server.Keys(t, bucket); slices.ContainsFunc(keys, func(k string) bool { return strings.HasPrefix(k, "upload ") }) {
			t.Errorf("an upload is left: %q", keys)
		}
	}
}

// Relabelling and aborting leave no upload; CleanUp takes what a crash has left, and no file.
func TestOrphans(t *testing.T) {
	server := start(t)
	dev := open(t, options(server.URL)).Device("v-")
	must(t, dev.Format(ctx, devicetest.Label("DEMO-001")))
	begin := func(number int) vtape.PartWriter {
		w, err := dev.Create(ctx, number, devicetest.Header(number))
		must(t, err)
		_, err = w.Write(devicetest.Data(1, 6*mib))
		must(t, err)
		s3.WaitForPieces(w)
		return w
	}
	want := func(keys ...string) {
		t.Helper()
		if got := server.Keys(t, bucket); !slices.Equal(got, keys) {
			t.Errorf("keys %q, want %q", got, keys)
		}
	}
	w := begin(1)
	want("v-special-tapestart", "upload v-f00000001-mp.data")
	must(t, w.Abort())
	want("v-special-tapestart")

	begin(1)
	devicetest.Write(t, dev, 2, devicetest.Header(2), []byte("good"))
	server.Put(t, bucket, "v-f00000003-mp.data", []byte("without a header"))
	server.Put(t, bucket, "v-f00000004-b0000000000000000.data", []byte("without a header"))
	server.Put(t, bucket, "v-found", []byte("not of the volume"))
	if n, err := dev.CleanUp(ctx); n != 3 || err != nil {
		t.Errorf("clean-up: %d, %v", n, err)
	}
	want("v-f00000002-filestart", "v-f00000002-mp.data", "v-found", "v-special-tapestart")

	// What lies in the way of a new file is replaced.
	server.Put(t, bucket, "v-f00000003-mp.data", []byte("without a header"))
	devicetest.Write(t, dev, 3, devicetest.Header(3), []byte("new"))
	devicetest.Check(t, dev, 3, devicetest.Header(3), []byte("new"))

	begin(4)
	must(t, dev.Format(ctx, devicetest.Label("DEMO-001")))
	want("v-found", "v-special-tapestart")
}

// A long part takes no more memory than a piece for each connection and one more, and no more connections.
func TestMemoryIsBounded(t *testing.T) {
	server := start(t)
	proxy := s3test.NewProxy(t, server)
	o := options(proxy.URL)
	o.Connections = 3
	dev := open(t, o).Device("v-")
	must(t, dev.Format(ctx, devicetest.Label("DEMO-001")))
	w, err := dev.Create(ctx, 1, devicetest.Header(1))
	must(t, err)
	mebi := devicetest.Data(1, mib)
	for range 200 {
		if n, err := w.Write(mebi); n != mib || err != nil {
			t.Fatalf("write: %d, %v", n, err)
		}
		if n := s3.PiecesHeld(w); n > 4 {
			t.Fatalf("%d pieces in memory", n)
		}
	}
	_, err = w.Close()
	must(t, err)
	if n, bytes := pieces(proxy); n != 40 || bytes != 200*mib || proxy.Pieces() > 4 || proxy.Pieces() < 2 {
		t.Errorf("%d pieces, %d bytes, %d at a time", n, bytes, proxy.Pieces())
	}
	r, err := dev.Open(ctx, 1)
	must(t, err)
	defer r.Close()
	got := make([]byte, mib)
	for i := range int64(200) {
		if n, err := r.ReadAt(got, i*mib); n != mib || err != nil || !bytes.Equal(got, mebi) {
			t.Fatalf("read MiB %d: %d, %v", i, n, err)
		}
		if n := s3.WindowsHeld(r); n > 48 {
			t.Fatalf("%d windows in memory", n)
		}
	}
	gets := 0
	for _, r := range proxy.Requests() {
		if r.Is("GetObject") {
			gets++
		}
	}
	if gets > 60 {
		t.Errorf("%d requests to read 200 MiB", gets)
	}
}

// A part may not have more than 10000 pieces: they grow with the part that is to be expected.
func TestPiecesGrow(t *testing.T) {
	server := start(t)
	for _, c := range []struct{ capacity, part, want int64 }{
		{0, 0, 5 * mib},
		{0, 1 << 30, 5 * mib},
		{1 << 40, 1 << 30, 5 * mib},
		{1 << 40, 0, (1 << 40) / 10000},
		{0, 1 << 40, (1 << 40) / 10000},
	} {
		o := options(server.URL)
		o.CapacityBytes, o.PartBytes = c.capacity, c.part
		dev := open(t, o).Device("v-")
		w, err := dev.Create(ctx, 1, devicetest.Header(1))
		must(t, err)
		if got := s3.PieceBytes(w); got < c.want || got > c.want+mib {
			t.Errorf("%+v: pieces of %d bytes", c, got)
		}
		must(t, w.Abort())
	}
}

// What the store is told to do with the data stands in the requests; headers and labels stay in the standard class.
func TestSettings(t *testing.T) {
	server := start(t)
	proxy := s3test.NewProxy(t, server)
	o := options(proxy.URL)
	o.StorageClass, o.Encryption = "STANDARD_IA", "AES256"
	dev := open(t, o).Device("v-")
	must(t, dev.Format(ctx, devicetest.Label(catalog.Label("DEMO-001"))))
	_ = writePart(dev, 1, []byte("x")) // whether this server can do it or not
	for _, r := range proxy.Requests() {
		if !r.Is("PutObject") {
			continue
		}
		class, isData := r.Header.Get("X-Amz-Storage-Class"), strings.HasSuffix(r.Path, ".data")
		if (class == "STANDARD_IA") != isData || r.Header.Get("X-Amz-Server-Side-Encryption") != "AES256" ||
			r.Header.Get("X-Amz-Checksum-Crc32c") == "" {
			t.Errorf("%s: %v", r.Path, r.Header)
		}
	}
}

// The label is replaced in place, its files stay; another writer's label is not.
func TestRelabel(t *testing.T) {
	server := start(t)
	dev, other := open(t, options(server.URL)).Device("v-"), open(t, options(server.URL)).Device("v-")
	must(t, dev.Format(ctx, devicetest.Label("DEMO-001")))
	devicetest.Write(t, dev, 1, devicetest.Header(1), []byte("x"))
	later := devicetest.Label("DEMO-001")
	later.Stamp = "20260101000000"
	must(t, dev.Relabel(ctx, later))
	if got, err := dev.ReadLabel(ctx); err != nil || got.Stamp != later.Stamp {
		t.Errorf("label %+v, %v", got, err)
	}
	devicetest.Write(t, dev, 2, devicetest.Header(2), []byte("y"))
	devicetest.Check(t, dev, 1, devicetest.Header(1), []byte("x"))
	if err := dev.Relabel(ctx, devicetest.Label("DEMO-002")); err == nil || !strings.Contains(err.Error(), "it is volume DEMO-001") {
		t.Errorf("relabel as another volume: %v", err)
	}
	must(t, other.Relabel(ctx, later))
	if err := dev.Relabel(ctx, later); !errors.Is(err, s3.ErrTaken) {
		t.Errorf("relabel after another writer: %v", err)
	}
}

package s3_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"holdfast/internal/s3test"
	"holdfast/vtape/devicetest"
	"holdfast/vtape/s3"
)

func isRemoval(r s3test.Request) bool { return r.Method == "DELETE" }

// Who stands still while it erases a volume, and has it labelled by another in that time, takes nothing from that one: with a label
// before or without.
func TestLateEraserRemovesNothing(t *testing.T) {
	server := start(t)
	for _, prefix := range []string{"labelled-", "none-"} {
		first := open(t, options(server.URL)).Device(prefix)
		must(t, first.Format(ctx, devicetest.Label("DEMO-001")))
		devicetest.Write(t, first, 1, devicetest.Header(1), []byte("old"))
		if prefix == "none-" {
			_, err := server.Client().DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: aws.String(bucket), Key: aws.String(prefix + "special-tapestart")})
			must(t, err)
		}
		late := meanwhile(t, server, prefix, isRemoval, func() {
			must(t, first.Format(ctx, devicetest.Label("DEMO-001")))
			devicetest.Write(t, first, 1, devicetest.Header(7), []byte("new"))
		})
		if err := late.Format(ctx, devicetest.Label("DEMO-001")); !errors.Is(err, s3.ErrTaken) {
			t.Errorf("%s: format: %v", prefix, err)
		}
		devicetest.Check(t, first, 1, devicetest.Header(7), []byte("new"))
	}
}

// A store that knows no condition for removals removes all the same.
func TestRemovalWithoutCondition(t *testing.T) {
	server := start(t)
	proxy := s3test.NewProxy(t, server)
	dev := open(t, options(proxy.URL)).Device("v-")
	must(t, dev.Format(ctx, devicetest.Label("DEMO-001")))
	devicetest.Write(t, dev, 1, devicetest.Header(1), []byte("old"))
	refused := 0
	proxy.Plan(func(r s3test.Request) s3test.Fault {
		if isRemoval(r) && r.Header.Get("If-Match") != "" {
			refused++
			return s3test.Unknown
		}
		return s3test.Pass
	})
	must(t, dev.Format(ctx, devicetest.Label("DEMO-002")))
	if files, err := dev.Files(ctx); err != nil || len(files) > 0 || refused == 0 {
		t.Errorf("files %v, %v after %d refusals", files, err, refused)
	}
}

// A writer whose label was replaced removes neither what its successor is about to write under the same number, nor a file of it.
func TestReplacedWriterRemovesNothing(t *testing.T) {
	server := start(t)
	first := open(t, options(server.URL)).Device("v-")
	must(t, first.Format(ctx, devicetest.Label("DEMO-001")))
	second := meanwhile(t, server, "v-", func(r s3test.Request) bool {
		return r.Method == "PUT" && strings.HasSuffix(r.Path, "-filestart")
	}, func() {
		if _, err := first.Create(ctx, 1, devicetest.Header(1)); !errors.Is(err, s3.ErrTaken) {
			t.Errorf("create: %v", err)
		}
	})
	must(t, second.Format(ctx, devicetest.Label("DEMO-001")))
	devicetest.Write(t, second, 1, devicetest.Header(1), []byte("of the second"))
	if err := first.Remove(ctx, 1); !errors.Is(err, s3.ErrTaken) {
		t.Errorf("remove: %v", err)
	}
	devicetest.Check(t, second, 1, devicetest.Header(1), []byte("of the second"))
}

// A label is not written over that came in the place of the one that was read.
func TestRelabelOfAnother(t *testing.T) {
	server := start(t)
	must(t, open(t, options(server.URL)).Device("v-").Format(ctx, devicetest.Label("DEMO-001")))
	requests := 0
	dev := meanwhile(t, server, "v-", func(s3test.Request) bool { requests++; return requests == 2 }, func() {
		must(t, open(t, options(server.URL)).Device("v-").Format(ctx, devicetest.Label("DEMO-002")))
	})
	if err := dev.Relabel(ctx, devicetest.Label("DEMO-001")); !errors.Is(err, s3.ErrTaken) {
		t.Errorf("relabel: %v", err)
	}
	if got, err := dev.ReadLabel(ctx); err != nil || got.Label != "DEMO-002" {
		t.Errorf("label %+v, %v", got, err)
	}
}

// A writer whose label was replaced while it wrote the data does not even begin a header: killed before it could take it back, it
// would leave a file on its successor's volume.
func TestReplacedWriterWritesNoHeader(t *testing.T) {
	server := start(t)
	proxy := s3test.NewProxy(t, server)
	first := open(t, options(proxy.URL)).Device("v-")
	must(t, first.Format(ctx, devicetest.Label("DEMO-001")))
	w, err := first.Create(ctx, 1, devicetest.Header(1))
	must(t, err)
	_, err = w.Write([]byte("of the first"))
	must(t, err)
	must(t, open(t, options(server.URL)).Device("v-").Format(ctx, devicetest.Label("DEMO-001")))
	proxy.Plan(nil)
	if _, err := w.Close(); !errors.Is(err, s3.ErrTaken) {
		t.Errorf("close: %v", err)
	}
	must(t, w.Abort())
	for _, r := range proxy.Requests() {
		if r.Method == "PUT" && strings.HasSuffix(r.Path, "-filestart") {
			t.Errorf("it wrote %s", r.Path)
		}
	}
}

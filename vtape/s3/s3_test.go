package s3_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/s3test"
	"holdfast/vtape"
	"holdfast/vtape/devicetest"
	"holdfast/vtape/s3"
)

const bucket = "volumes"

var ctx = context.Background()

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// now is the clock of all tests.
func now() time.Time { return time.Now() }

// options are for a server of the tests: faults are not waited for.
func options(url string) s3.Options {
	return s3.Options{
		Bucket: bucket, Endpoint: url, PathStyle: true, PieceBytes: 5 << 20,
		Attempts: 3, Backoff: time.Millisecond, Now: now,
	}
}

func open(t testing.TB, o s3.Options) *s3.Store {
	t.Helper()
	s3test.Login(t)
	s, err := s3.New(ctx, o)
	must(t, err)
	return s
}

// start gives a server with a bucket.
func start(t testing.TB) *s3test.Server {
	t.Helper()
	server := s3test.Start(t)
	server.Bucket(t, bucket, false)
	return server
}

func TestConformance(t *testing.T) {
	server := start(t)
	server.Bucket(t, "locked", true)
	for name, change := range map[string]func(*s3.Options){
		"Plain":       func(*s3.Options) {},
		"NoChecksum":  func(o *s3.Options) { o.Checksum = s3.ChecksumNone },
		"Versions":    func(o *s3.Options) { o.Bucket = "locked" },
		"Prefix":      func(o *s3.Options) { o.Prefix = "a/b c/" },
		"Conditional": func(o *s3.Options) { o.AllowUnconditional = true },
	} {
		var volumes atomic.Int64
		t.Run(name, func(t *testing.T) {
			devicetest.Run(t, func(t testing.TB, capacity int64) vtape.Device {
				o := options(server.URL)
				o.CapacityBytes = capacity
				change(&o)
				return open(t, o).Device(fmt.Sprintf("%s%d-", name, volumes.Add(1)))
			})
		})
	}
}

package s3test_test

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"holdfast/internal/s3test"
)

// The faults are what their names say: what the server has done by then, and what the client is told.
func TestFaults(t *testing.T) {
	server := s3test.Start(t)
	server.Bucket(t, "bucket", false)
	proxy := s3test.NewProxy(t, server)
	// Nobody has signed this: what the server answers is a refusal, and an answer.
	get := func() (status int, err error) {
		resp, err := http.Get(proxy.URL + "/bucket")
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		_, err = io.ReadAll(resp.Body)
		return resp.StatusCode, err
	}
	for fault, want := range map[s3test.Fault]int{
		s3test.Pass: http.StatusForbidden, s3test.Ignore: http.StatusForbidden, s3test.Refuse: http.StatusServiceUnavailable,
		s3test.Unknown: http.StatusNotImplemented, s3test.CutRequest: 0, s3test.CutAnswer: http.StatusForbidden, s3test.LoseAnswer: 0,
	} {
		proxy.Plan(func(s3test.Request) s3test.Fault { return fault })
		status, err := get()
		broken := fault == s3test.CutRequest || fault == s3test.CutAnswer || fault == s3test.LoseAnswer
		if status != want || (err != nil) != broken || len(proxy.Requests()) == 0 {
			t.Errorf("%q: status %d, %v after %d requests", fault, status, err, len(proxy.Requests()))
		}
	}
}

// Requests that are to meet are answered when all of them have come, others at once, and after the next Plan all are.
func TestMeet(t *testing.T) {
	server := s3test.Start(t)
	proxy := s3test.NewProxy(t, server)
	get := func(path string) {
		resp, err := http.Get(proxy.URL + path)
		if err != nil {
			t.Error(err)
			return
		}
		resp.Body.Close()
	}
	proxy.Plan(nil)
	proxy.Meet(3, func(r s3test.Request) bool { return r.Path == "/meet" })
	var answered atomic.Int64
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			get("/meet")
			answered.Add(1)
		})
	}
	for meeting := 0; meeting < 2; { // until both are on their way
		get("/other")
		meeting = 0
		for _, r := range proxy.Requests() {
			if r.Path == "/meet" {
				meeting++
			}
		}
	}
	if n := answered.Load(); n != 0 {
		t.Errorf("%d of two were answered before the third came", n)
	}
	get("/meet")
	all.Wait()
	get("/meet") // one more has nobody to wait for
}

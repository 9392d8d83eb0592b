package s3_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/vtape/s3"
)

// server answers requests without a network, in the time of the test's bubble.
type server func(*http.Request) (*http.Response, error)

func (s server) RoundTrip(req *http.Request) (*http.Response, error) { return s(req) }

func send(t *testing.T, client http.RoundTripper, bytesLong int) error {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://s3/", bytes.NewReader(make([]byte, bytesLong)))
	must(t, err)
	resp, err := client.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// What is sent goes as fast as the rate allows and no faster, over all connections together, and waiting for its turn
// is no stall.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := s3.Transport(server(func(req *http.Request) (*http.Response, error) {
			_, err := io.Copy(io.Discard, req.Body)
			return &http.Response{StatusCode: 200, Body: http.NoBody}, err
		}), 16<<10, time.Second)
		begin := time.Now()
		must(t, send(t, client, 160<<10))
		must(t, send(t, client, 32<<10))
		// The first 32 KiB are free.
		if took := time.Since(begin); took != 10*time.Second {
			t.Errorf("192 KiB at 16 KiB a second took %s", took)
		}
	})
}

// A server that moves now and then is waited for; one that does not, before its answer or within it, is given up.
func TestStall(t *testing.T) {
	slow := func(pause time.Duration) server {
		return func(req *http.Request) (*http.Response, error) {
			for {
				select {
				case <-time.After(pause):
				case <-req.Context().Done():
					return nil, req.Context().Err()
				}
				if _, err := io.CopyN(io.Discard, req.Body, 1000); err == io.EOF {
					return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
				}
			}
		}
	}
	synctest.Test(t, func(t *testing.T) {
		must(t, send(t, s3.Transport(slow(9*time.Second), 1<<30, 10*time.Second), 50_000))
		err := send(t, s3.Transport(slow(11*time.Second), 1<<30, 10*time.Second), 50_000)
		if err == nil || !strings.Contains(err.Error(), "does not answer") {
			t.Errorf("a server that does not take the data: %v", err)
		}
		err = send(t, s3.Transport(server(func(req *http.Request) (*http.Response, error) {
			r, w := io.Pipe()
			go func() {
				_, _ = w.Write([]byte("half")) // the reader has gone
				<-req.Context().Done()
				w.CloseWithError(req.Context().Err())
			}()
			return &http.Response{StatusCode: 200, Body: r}, nil
		}), 1<<30, 10*time.Second), 0)
		if err == nil || !strings.Contains(err.Error(), "does not answer") {
			t.Errorf("an answer that does not go on: %v", err)
		}
	})
}

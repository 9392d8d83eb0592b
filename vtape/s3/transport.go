package s3

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// errStalled is the cause when a request is given up because the server does nothing any more.
var errStalled = errors.New("the server does not answer")

// limitChunk is how many bytes are sent at once when the rate is limited.
const limitChunk = 32 << 10

func newHTTPClient(opts Options) (*http.Client, error) {
	pool, err := certPool(opts.CA)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: min(30*time.Second, opts.Stall), KeepAlive: 30 * time.Second}
	t := &transport{stall: opts.Stall, next: &http.Transport{
		Proxy:       http.ProxyFromEnvironment,
		DialContext: dialer.DialContext,
		// Files are written and read side by side, each with its connections.
		MaxIdleConns: 4 * opts.Connections, MaxIdleConnsPerHost: 4 * opts.Connections, IdleConnTimeout: 90 * time.Second,
		TLSHandshakeTimeout: 10 * time.Second, ExpectContinueTimeout: time.Second,
		TLSClientConfig:    &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		DisableCompression: true,
		WriteBufferSize:    64 << 10, ReadBufferSize: 64 << 10,
	}}
	if opts.RateBytes > 0 {
		t.limit = rate.NewLimiter(rate.Limit(opts.RateBytes), limitChunk)
	}
	return &http.Client{Transport: t}, nil
}

// transport gives up requests that no longer move, and keeps what is sent below a rate.
type transport struct {
	next  http.RoundTripper
	stall time.Duration
	limit *rate.Limiter // nil: none
}

// RoundTrip does one request.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	w := &watch{ctx: ctx, cancel: cancel, stall: t.stall, limit: t.limit}
	w.timer = time.AfterFunc(t.stall, func() { cancel(errStalled) })
	req = req.Clone(ctx)
	var sent *sentBody
	if req.Body != nil && req.Body != http.NoBody {
		sent = &sentBody{watch: w, body: req.Body}
		req.Body = sent
		req.GetBody = nil // the SDK tries again, not the transport
	}
	resp, err := t.next.RoundTrip(req)
	sent.detach()
	if err != nil {
		err = w.cause(err)
		w.end()
		return nil, err
	}
	w.moved()
	resp.Body = &receivedBody{watch: w, body: resp.Body}
	return resp, nil
}

// watch cancels a request when nothing has moved for a while.
type watch struct {
	ctx    context.Context // of the request
	cancel context.CancelCauseFunc
	timer  *time.Timer
	stall  time.Duration
	limit  *rate.Limiter
}

func (w *watch) moved() { w.timer.Reset(w.stall) }

func (w *watch) end() {
	w.timer.Stop()
	w.cancel(nil)
}

// cause gives errStalled where the transport says only that the request was cancelled.
func (w *watch) cause(err error) error {
	if err != nil && err != io.EOF && errors.Is(context.Cause(w.ctx), errStalled) {
		return errStalled
	}
	return err
}

// chunk is how much may be read of a body at once.
func (w *watch) chunk(n int) int {
	if w.limit == nil {
		return n
	}
	return min(n, limitChunk)
}

// pace waits until n bytes, at most a chunk, may be sent.
func (w *watch) pace(n int) error {
	if w.limit == nil {
		return nil
	}
	w.timer.Stop() // it is not the server that lingers
	return w.limit.WaitN(w.ctx, n)
}

// sentBody is the body of a request. After detach the piece below it is not read any more and may be used again: the
// transport does not promise that by itself.
type sentBody struct {
	watch *watch
	mu    sync.Mutex // guards body
	body  io.ReadCloser
}

// Read gives what is sent next.
func (b *sentBody) Read(p []byte) (int, error) {
	n, err := b.read(p[:b.watch.chunk(len(p))])
	if waitErr := b.watch.pace(n); waitErr != nil {
		return 0, waitErr
	}
	b.watch.moved()
	return n, err
}

func (b *sentBody) read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.body == nil {
		return 0, http.ErrBodyReadAfterClose
	}
	return b.body.Read(p)
}

// Close ends the body.
func (b *sentBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.body == nil {
		return nil
	}
	return b.body.Close()
}

func (b *sentBody) detach() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.body = nil
}

// receivedBody is the body of an answer.
type receivedBody struct {
	watch *watch
	body  io.ReadCloser
}

// Read gives what has come.
func (b *receivedBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if n > 0 {
		b.watch.moved()
	}
	return n, b.watch.cause(err)
}

// Close ends the request.
func (b *receivedBody) Close() error {
	b.watch.end()
	return b.body.Close()
}

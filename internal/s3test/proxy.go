package s3test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// Fault is what the proxy does to a request.
type Fault string

// The faults. CutRequest and CutAnswer break the connection in the middle of a body; LoseAnswer does after the server
// has done all; Hang never answers; Refuse is a 503 without asking the server. Ignore says that a write whose condition
// did not hold was done, as a store that knows no conditions would; Unknown says that the store does not offer it.
const (
	Pass       Fault = ""
	Refuse     Fault = "503"
	CutRequest Fault = "cut-request"
	CutAnswer  Fault = "cut-answer"
	LoseAnswer Fault = "lost-answer"
	Hang       Fault = "hang"
	Ignore     Fault = "ignore"
	Unknown    Fault = "501"
)

// Faults are those of networks and of busy servers.
var Faults = []Fault{Refuse, CutRequest, CutAnswer, LoseAnswer, Hang}

// Request is a request that the proxy saw.
type Request struct {
	N      int // from 1
	Method string
	Path   string
	Query  url.Values
	Header http.Header
	// Bytes of the body as far as they came.
	Bytes int64
}

// Is tells whether a request is an operation, named as S3 names it.
func (r Request) Is(operation string) bool { return r.operation() == operation }

// operation names the operations that a device uses, as far as tests ask for them.
func (r Request) operation() string {
	switch {
	case r.Method == "PUT" && r.Query.Has("partNumber"):
		return "UploadPart"
	case r.Method == "POST" && r.Query.Has("uploads"):
		return "CreateMultipartUpload"
	case r.Method == "POST" && r.Query.Has("uploadId"):
		return "CompleteMultipartUpload"
	case r.Method == "GET" && r.Query.Has("uploadId"):
		return "ListParts"
	case r.Method == "PUT" && len(r.Query) == 0 || r.Method == "PUT" && r.Query.Get("x-id") == "PutObject":
		return "PutObject"
	case r.Method == "GET" && r.Query.Get("x-id") == "GetObject":
		return "GetObject"
	}
	return r.Method
}

// Proxy stands before a server.
type Proxy struct {
	// URL is the endpoint to use in place of the server's.
	URL    string
	server string
	next   http.RoundTripper

	mu       sync.Mutex // guards all below
	plan     func(Request) Fault
	requests []*Request
	now, top int // UploadPart requests under way, and the most there were
	meet     func(Request) bool
	apart    int           // requests that are still to come to the meeting
	together chan struct{} // closed when all have
}

// NewProxy runs a proxy before the server until the test ends.
func NewProxy(t testing.TB, s *Server) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{URL: "http://" + l.Addr().String(), server: strings.TrimPrefix(s.URL, "http://")}
	next := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 16}
	p.next = next
	server := &http.Server{Handler: p}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() {
		_ = server.Close() // requests under way are cut
		if err := <-ended; !closed(err) {
			t.Error(err)
		}
		next.CloseIdleConnections()
	})
	return p
}

// Plan sets what is done to the requests from now on, which are counted from 1 again; nil: nothing. It is called for
// one request at a time.
func (p *Proxy) Plan(plan func(Request) Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plan, p.requests, p.top, p.meet = plan, nil, 0, nil
}

// Meet holds the answers to the first n requests of a kind until all of them have been given by the server: nobody then knows
// what another did next. It ends with the next Plan.
func (p *Proxy) Meet(n int, is func(Request) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.meet, p.apart, p.together = is, n, make(chan struct{})
}

// met waits for the others of a meeting.
func (p *Proxy) met(ctx context.Context, seen *Request) {
	p.mu.Lock()
	if p.meet == nil || p.apart == 0 || !p.meet(*seen) {
		p.mu.Unlock()
		return
	}
	together := p.together
	if p.apart--; p.apart == 0 {
		close(together)
	}
	p.mu.Unlock()
	select {
	case <-together:
	case <-ctx.Done(): // the client waits no longer, or the test has ended
	}
}

// Requests gives those since the last Plan.
func (p *Proxy) Requests() []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]Request, len(p.requests))
	for i, r := range p.requests {
		list[i] = *r
	}
	return list
}

// Pieces is the most UploadPart requests that were under way at a time.
func (p *Proxy) Pieces() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.top
}

// begin notes a request and decides its fate.
func (p *Proxy) begin(r *http.Request) (*Request, Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := &Request{N: len(p.requests) + 1, Method: r.Method, Path: r.URL.Path, Query: r.URL.Query(), Header: r.Header.Clone()}
	p.requests = append(p.requests, seen)
	if seen.Is("UploadPart") {
		p.now++
		p.top = max(p.top, p.now)
	}
	if p.plan == nil {
		return seen, Pass
	}
	return seen, p.plan(*seen)
}

func (p *Proxy) end(seen *Request, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen.Bytes = bytes
	if seen.Is("UploadPart") {
		p.now--
	}
}

// counter counts what is read.
type counter struct {
	io.Reader
	n int64
}

// Read reads on.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}

// ServeHTTP passes a request on, or does what the plan says.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	seen, fault := p.begin(r)
	body := &counter{Reader: r.Body}
	defer func() { p.end(seen, body.n) }()
	switch fault {
	case Refuse:
		refuse(w, body, http.StatusServiceUnavailable, "SlowDown")
		return
	case Unknown:
		refuse(w, body, http.StatusNotImplemented, "NotImplemented")
		return
	case Hang:
		_, _ = io.Copy(io.Discard, body) // or the end of the client would not be seen
		<-r.Context().Done()
		return
	case CutRequest:
		_, _ = io.CopyN(io.Discard, body, max(1, r.ContentLength/2))
		panic(http.ErrAbortHandler)
	}
	resp, err := p.pass(r, body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer resp.Body.Close()
	p.met(r.Context(), seen)
	p.answer(w, resp, fault)
}

func refuse(w http.ResponseWriter, body io.Reader, status int, code string) {
	_, _ = io.Copy(io.Discard, body) // an answer before the end of the body would be another fault
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "<Error><Code>"+code+"</Code><Message>by plan</Message></Error>") // the client has gone
}

// pass hands the request on as it is: the signature covers the host that the client named.
func (p *Proxy) pass(r *http.Request, body io.Reader) (*http.Response, error) {
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host, out.RequestURI = "http", p.server, ""
	out.Header.Del("Expect")
	out.Body = io.NopCloser(body)
	if r.ContentLength == 0 {
		out.Body = http.NoBody
	}
	return p.next.RoundTrip(out)
}

func (p *Proxy) answer(w http.ResponseWriter, resp *http.Response, fault Fault) {
	if fault == LoseAnswer {
		_, _ = io.Copy(io.Discard, resp.Body) // the server shall have done all
		panic(http.ErrAbortHandler)
	}
	if fault == Ignore && resp.StatusCode == http.StatusPreconditionFailed {
		w.Header().Set("ETag", `"ignored"`)
		w.WriteHeader(http.StatusOK)
		return
	}
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	if fault == Pass || fault == Ignore {
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body) // the client has gone
		return
	}
	var half bytes.Buffer
	n, _ := io.Copy(&half, resp.Body)
	if n == 0 {
		panic(http.ErrAbortHandler) // nothing to cut: the answer is lost
	}
	w.WriteHeader(resp.StatusCode)
	_, _ = w.Write(half.Bytes()[:n/2])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// Package s3test runs an S3 server for tests: versitygw, a tool of the module in tools/, on a loopback port of its own
// with directories of its own; and a proxy before it that makes faults.
//
// Its one invariant: what it starts has ended when the test has.
package s3test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"holdfast/internal/testtools"
)

// The administrator of the server, and its region.
const (
	AccessKey = "holdfast-test"
	SecretKey = "holdfast-test-secret"
	Region    = "us-east-1"
)

// Server is a running server.
type Server struct {
	// URL is the endpoint, without a slash at its end.
	URL string
	// Dir holds the buckets: a directory each, and a file for each object.
	Dir string
}

// Start runs a server until the test ends. The first start on a machine builds it, which may take minutes. Where that
// cannot be done the test is skipped, and fails where tools are required. Args are options of the server.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	program := build(t)
	s := &Server{Dir: t.TempDir()}
	address := freeAddress(t)
	s.URL = "http://" + address
	if strings.Contains(strings.Join(args, " "), "--cert") {
		s.URL = "https://" + address
	}
	args = append([]string{"--port", address, "--access", AccessKey, "--secret", SecretKey, "--region", Region, "--quiet",
		"--keep-alive"}, args...)
	var said bytes.Buffer
	cmd := exec.Command(program, append(args, "posix", "--versioning-dir", t.TempDir(), s.Dir)...)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is killed
		close(ended)
	}()
	t.Cleanup(func() {
		select {
		case <-ended:
			t.Errorf("the S3 server ended before the test (%v): %s", cmd.ProcessState, said.String())
		default:
			_ = cmd.Process.Kill()
			<-ended
		}
	})
	if !answers(address, ended) {
		t.Fatalf("the S3 server ended at once: %s", said.String())
	}
	return s
}

// build gives the path of the program, built if it is out of date.
func build(t testing.TB) string {
	t.Helper()
	var said bytes.Buffer
	cmd := exec.Command("go", "tool", "-n", "versitygw")
	cmd.Dir, cmd.Stderr = filepath.Join(moduleRoot(t), "tools"), &said
	out, err := cmd.Output()
	if err != nil {
		testtools.Lacking(t, fmt.Sprintf("the S3 server for tests cannot be built: %v: %s", err, said.String()))
	}
	return strings.TrimSpace(string(out))
}

func moduleRoot(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "tools", "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no tools/go.mod above the working directory")
		}
		dir = filepath.Dir(dir)
	}
}

// freeAddress gives a loopback port that is free, and will be for the moment it takes to listen on it.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// answers waits until somebody listens there, or the program has ended.
func answers(address string, ended <-chan struct{}) bool {
	for {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close() // nothing was sent
			return true
		}
		select {
		case <-ended:
			return false
		default:
		}
	}
}

// Login sets the environment from which the SDK takes the server's credentials, and nothing else of this machine's.
func Login(t testing.TB) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": AccessKey, "AWS_SECRET_ACCESS_KEY": SecretKey, "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_ENDPOINT_URL": "", "AWS_ENDPOINT_URL_S3": "", "AWS_CA_BUNDLE": "",
	} {
		t.Setenv(name, value)
	}
}

// Client is the administrator's.
func (s *Server) Client() *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: &s.URL, UsePathStyle: true, Region: Region,
		Credentials: credentials.NewStaticCredentialsProvider(AccessKey, SecretKey, ""),
	})
}

// Bucket makes a bucket; with lock, one whose objects have versions and can be locked.
func (s *Server) Bucket(t testing.TB, name string, lock bool) {
	t.Helper()
	_, err := s.Client().CreateBucket(context.Background(), &s3.CreateBucketInput{
		Bucket: &name, ObjectLockEnabledForBucket: aws.Bool(lock),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Put writes an object as somebody else would.
func (s *Server) Put(t testing.TB, bucket, key string, body []byte) {
	t.Helper()
	_, err := s.Client().PutObject(context.Background(), &s3.PutObjectInput{
		Bucket: &bucket, Key: &key, Body: bytes.NewReader(body),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Keys lists the objects, and behind them, as "upload KEY", the unfinished uploads.
func (s *Server) Keys(t testing.TB, bucket string) []string {
	t.Helper()
	var keys []string
	pages := s3.NewListObjectsV2Paginator(s.Client(), &s3.ListObjectsV2Input{Bucket: &bucket})
	for pages.HasMorePages() {
		out, err := pages.NextPage(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range out.Contents {
			keys = append(keys, aws.ToString(o.Key))
		}
	}
	out, err := s.Client().ListMultipartUploads(context.Background(), &s3.ListMultipartUploadsInput{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range out.Uploads {
		keys = append(keys, "upload "+aws.ToString(u.Key))
	}
	return keys
}

// closed tells whether an error is that of a server that was shut down.
func closed(err error) bool {
	return errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed)
}

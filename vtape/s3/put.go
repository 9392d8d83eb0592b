package s3

import (
	"bytes"
	"cmp"
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"holdfast/vtape"
)

// writerKey is the metadata that names the request an object came from, so that a writer whose answer was lost knows its
// own object.
const writerKey = "holdfast-writer"

// condition is what must be so for an object to be written. The zero value is that there is none under its key.
type condition struct {
	etag string // of the object to be replaced
	none bool   // no condition
}

// put is one object to be written in one request.
type put struct {
	key  string
	body []byte
	cond condition
	lock bool
	data bool // in the storage class of the data
	// writer marks the object; empty: a mark is made. An object is written with one mark once.
	writer string
}

// put writes an object, and gives its ETag. ErrTaken: the condition does not hold. After a lost answer it finds out
// whether the object is there.
func (s *Store) put(ctx context.Context, p put) (etag string, err error) {
	writer := cmp.Or(p.writer, rand.Text())
	in := s.putInput(p)
	in.Metadata = map[string]string{writerKey: writer}
	out, err := s.client.PutObject(ctx, in, s.bodyOptions()...)
	if err == nil {
		return aws.ToString(out.ETag), nil
	}
	err = s.tell(err)
	if final(ctx, err) {
		return "", err
	}
	head, headErr := s.head(ctx, p.key, "")
	if headErr == nil && head.Metadata[writerKey] == writer {
		return aws.ToString(head.ETag), nil
	}
	return "", err
}

func (s *Store) putInput(p put) *s3.PutObjectInput {
	in := &s3.PutObjectInput{
		Bucket: &s.opts.Bucket, Key: &p.key, Body: bytes.NewReader(p.body), ContentLength: aws.Int64(int64(len(p.body))),
		ContentType:          aws.String("application/octet-stream"),
		ServerSideEncryption: types.ServerSideEncryption(s.opts.Encryption), SSEKMSKeyId: optional(s.opts.KMSKey),
	}
	switch {
	case p.cond.none:
	case p.cond.etag != "":
		in.IfMatch = &p.cond.etag
	default:
		in.IfNoneMatch = aws.String("*")
	}
	in.ChecksumCRC32C, in.ContentMD5 = s.sums(p.body)
	if p.data {
		in.StorageClass = types.StorageClass(s.opts.StorageClass)
	}
	if p.lock && s.opts.LockMode != "" {
		in.ObjectLockMode, in.ObjectLockRetainUntilDate = s.lockMode(), aws.Time(s.opts.LockUntil())
	}
	return in
}

// sums gives what the server shall compare the data with.
func (s *Store) sums(data []byte) (crc32c, contentMD5 *string) {
	if s.opts.Checksum == ChecksumCRC32C {
		return aws.String(encodeCRC(data)), nil
	}
	sum := md5.Sum(data)
	return nil, aws.String(base64.StdEncoding.EncodeToString(sum[:]))
}

func encodeCRC(data []byte) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, vtape.Checksum(data)))
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// bodyOptions are for requests with data.
func (s *Store) bodyOptions() []func(*s3.Options) {
	if !s.unsigned {
		return nil
	}
	return []func(*s3.Options){s3.WithAPIOptions(v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)}
}

// head asks for an object without its data.
func (s *Store) head(ctx context.Context, key, version string) (*s3.HeadObjectOutput, error) {
	in := &s3.HeadObjectInput{Bucket: &s.opts.Bucket, Key: &key, VersionId: optional(version)}
	if s.opts.Checksum != ChecksumNone {
		in.ChecksumMode = types.ChecksumModeEnabled
	}
	out, err := s.client.HeadObject(ctx, in)
	return out, s.tell(err)
}

// removeOwn removes an object if it is the one that was written with this mark.
func (s *Store) removeOwn(ctx context.Context, key, writer string) error {
	head, err := s.head(ctx, key, "")
	switch {
	case errors.Is(err, errNoObject):
		return nil
	case err != nil:
		return err
	case head.Metadata[writerKey] != writer:
		return nil
	}
	return s.remove(ctx, []object{{key: key}})
}

// small is an object read whole.
type small struct {
	body []byte
	etag string
}

// getSmall reads an object that has at most limit bytes, or its first ones.
func (s *Store) getSmall(ctx context.Context, key string, limit int64) (small, error) {
	var err error
	for range s.opts.Attempts {
		var got small
		if got, err = s.tryGetSmall(ctx, key, limit); err == nil || !errors.Is(err, errBody) || ctx.Err() != nil {
			return got, err
		}
	}
	return small{}, err
}

// errBody marks that an answer broke off: the SDK tries a request again, but not this.
var errBody = errors.New("the answer broke off")

func (s *Store) tryGetSmall(ctx context.Context, key string, limit int64) (small, error) {
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.opts.Bucket, Key: &key})
	if err != nil {
		return small{}, s.tell(err)
	}
	defer out.Body.Close()
	body, err := io.ReadAll(io.LimitReader(out.Body, limit))
	if err != nil {
		return small{}, fmt.Errorf("%w: %w", errBody, err)
	}
	return small{body: body, etag: aws.ToString(out.ETag)}, nil
}

package s3

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"holdfast/vtape"
)

// pieceTries is how often a piece is sent as a whole, each time with all attempts of a request.
const pieceTries = 3

// upload is a multipart upload. One goroutine calls send and complete; the pieces go side by side.
type upload struct {
	s    *Store
	key  string
	id   string
	have map[int32]types.Part // what an earlier try has sent

	wg    sync.WaitGroup
	mu    sync.Mutex // guards pieces and err
	sent  map[int32]types.CompletedPart
	err   error // the first one
	bytes int64
}

// startUpload goes on with an upload of the same key that was interrupted, or begins one. With object lock it begins one
// always: what was begun earlier would be locked for less time. Writer marks an object of which this writer sent all.
func (s *Store) startUpload(ctx context.Context, key, writer string) (*upload, error) {
	u := &upload{s: s, key: key, sent: make(map[int32]types.CompletedPart)}
	if s.opts.LockMode == "" {
		if err := u.resume(ctx); err != nil {
			return nil, fmt.Errorf("resume upload: %w", err)
		}
	}
	if u.id != "" {
		return u, nil
	}
	in := &s3.CreateMultipartUploadInput{
		Bucket: &s.opts.Bucket, Key: &key, StorageClass: types.StorageClass(s.opts.StorageClass),
		ContentType:          aws.String("application/octet-stream"),
		ServerSideEncryption: types.ServerSideEncryption(s.opts.Encryption), SSEKMSKeyId: optional(s.opts.KMSKey),
		ChecksumAlgorithm: s.algorithm(), Metadata: map[string]string{writerKey: writer},
	}
	if s.opts.LockMode != "" {
		in.ObjectLockMode, in.ObjectLockRetainUntilDate = s.lockMode(), aws.Time(s.opts.LockUntil())
	}
	out, err := s.client.CreateMultipartUpload(ctx, in)
	if err != nil {
		return nil, fmt.Errorf("begin upload: %w", s.tell(err))
	}
	u.id = aws.ToString(out.UploadId)
	return u, nil
}

func (s *Store) algorithm() types.ChecksumAlgorithm {
	if s.opts.Checksum == ChecksumCRC32C {
		return types.ChecksumAlgorithmCrc32c
	}
	return ""
}

// resume looks for an unfinished upload with the same kind of checksums, and what there is of it.
func (u *upload) resume(ctx context.Context) error {
	list, err := u.s.uploads(ctx, u.key)
	if err != nil {
		return err
	}
	for _, old := range slices.Backward(list) {
		if old.key != u.key {
			continue
		}
		have, err := u.list(ctx, old.id)
		switch {
		case errors.Is(err, errNoUpload):
		case err != nil:
			return err
		case have != nil:
			u.id, u.have = old.id, have
			return nil
		}
	}
	return nil
}

// list gives the pieces of an upload, nil if its checksums are not of our kind.
func (u *upload) list(ctx context.Context, id string) (map[int32]types.Part, error) {
	have := make(map[int32]types.Part)
	pages := s3.NewListPartsPaginator(u.s.client, &s3.ListPartsInput{Bucket: &u.s.opts.Bucket, Key: &u.key, UploadId: &id})
	for pages.HasMorePages() {
		out, err := pages.NextPage(ctx)
		if err != nil {
			return nil, u.s.tell(err)
		}
		// A store may have a checksum of its own where we ask for none.
		if (out.ChecksumAlgorithm == types.ChecksumAlgorithmCrc32c) != (u.s.opts.Checksum == ChecksumCRC32C) {
			return nil, nil
		}
		for _, p := range out.Parts {
			have[aws.ToInt32(p.PartNumber)] = p
		}
		if len(have) > maxPieces {
			return nil, errTooMany
		}
	}
	return have, nil
}

// send sends a piece in the background; done is called when its data may be used for something else.
func (u *upload) send(ctx context.Context, n int32, data []byte, done func()) {
	u.bytes += int64(len(data))
	u.wg.Go(func() {
		defer done()
		piece, err := u.piece(ctx, n, data)
		u.mu.Lock()
		defer u.mu.Unlock()
		if err != nil {
			if u.err == nil {
				u.err = fmt.Errorf("send piece %d: %w", n, err)
			}
			return
		}
		u.sent[n] = piece
	})
}

// failed gives the first error of a piece.
func (u *upload) failed() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.err
}

func (u *upload) piece(ctx context.Context, n int32, data []byte) (piece types.CompletedPart, err error) {
	if old, ok := u.have[n]; ok && sameData(old, data) {
		return types.CompletedPart{PartNumber: &n, ETag: old.ETag, ChecksumCRC32C: old.ChecksumCRC32C}, nil
	}
	in := &s3.UploadPartInput{
		Bucket: &u.s.opts.Bucket, Key: &u.key, UploadId: &u.id, PartNumber: &n, ContentLength: aws.Int64(int64(len(data))),
	}
	in.ChecksumCRC32C, in.ContentMD5 = u.s.sums(data)
	for range pieceTries {
		in.Body = bytes.NewReader(data)
		out, sendErr := u.s.client.UploadPart(ctx, in, u.s.bodyOptions()...)
		if sendErr == nil {
			return types.CompletedPart{PartNumber: &n, ETag: out.ETag, ChecksumCRC32C: in.ChecksumCRC32C}, nil
		}
		if err = u.s.tell(sendErr); final(ctx, err) {
			break
		}
	}
	return piece, err
}

// sameData tells whether a piece that lies with the store is this one: by its checksum, or else by its ETag, which is
// the MD5 of the data except with some kinds of encryption, where it never agrees.
func sameData(old types.Part, data []byte) bool {
	if aws.ToInt64(old.Size) != int64(len(data)) {
		return false
	}
	if sum := aws.ToString(old.ChecksumCRC32C); sum != "" {
		return sum == encodeCRC(data)
	}
	sum := md5.Sum(data)
	return strings.Trim(aws.ToString(old.ETag), `"`) == hex.EncodeToString(sum[:])
}

// complete waits for the pieces and makes the object of them. A lost answer is looked into: the store may have done it.
func (u *upload) complete(ctx context.Context) error {
	u.wg.Wait()
	if err := u.failed(); err != nil {
		return err
	}
	pieces := make([]types.CompletedPart, 0, len(u.sent))
	for n := int32(1); int(n) <= len(u.sent); n++ {
		pieces = append(pieces, u.sent[n])
	}
	in := &s3.CompleteMultipartUploadInput{
		Bucket: &u.s.opts.Bucket, Key: &u.key, UploadId: &u.id,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: pieces},
	}
	if !u.s.opts.AllowUnconditional {
		in.IfNoneMatch = aws.String("*")
	}
	var err error
	for range pieceTries {
		if _, err = u.s.client.CompleteMultipartUpload(ctx, in); err == nil {
			return nil
		}
		err = u.s.tell(err)
		if u.landed(ctx, pieces) {
			return nil
		}
		if final(ctx, err) || errors.Is(err, ErrTaken) {
			break
		}
	}
	return fmt.Errorf("complete upload: %w", err)
}

// landed tells whether the object is there and is made of these pieces.
func (u *upload) landed(ctx context.Context, pieces []types.CompletedPart) bool {
	head, err := u.s.head(ctx, u.key, "")
	if err != nil || aws.ToInt64(head.ContentLength) != u.bytes {
		return false
	}
	if sum := aws.ToString(head.ChecksumCRC32C); sum != "" {
		return sum == compositeCRC(pieces)
	}
	return strings.Trim(aws.ToString(head.ETag), `"`) == compositeETag(pieces)
}

// compositeCRC is the checksum that S3 gives an object made of pieces: that of their checksums, and their number.
func compositeCRC(pieces []types.CompletedPart) string {
	var sums []byte
	for _, p := range pieces {
		sum, err := base64.StdEncoding.DecodeString(aws.ToString(p.ChecksumCRC32C))
		if err != nil {
			return ""
		}
		sums = append(sums, sum...)
	}
	return fmt.Sprintf("%s-%d", encodeCRC(sums), len(pieces))
}

// compositeETag is the ETag of an object made of pieces whose ETags are MD5 sums.
func compositeETag(pieces []types.CompletedPart) string {
	var sums []byte
	for _, p := range pieces {
		sum, err := hex.DecodeString(strings.Trim(aws.ToString(p.ETag), `"`))
		if err != nil {
			return ""
		}
		sums = append(sums, sum...)
	}
	sum := md5.Sum(sums)
	return fmt.Sprintf("%s-%d", hex.EncodeToString(sum[:]), len(pieces))
}

// pieceSize gives the size of pieces with which limit bytes fit an upload.
func pieceSize(want, limit int64) int64 {
	need := (limit + maxPieces - 1) / maxPieces
	need = (need + vtape.PartAlign - 1) / vtape.PartAlign * vtape.PartAlign
	return max(want, need)
}

package s3

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"

	"holdfast/vtape"
)

// Checksum is the sum that is sent with all data, for the server to check and to keep.
type Checksum string

// The checksums. With ChecksumNone a Content-MD5 is sent, which every server knows.
const (
	ChecksumCRC32C Checksum = "crc32c"
	ChecksumNone   Checksum = "none"
)

// LockMode is the kind of object lock.
type LockMode string

// The modes: with LockGovernance a privileged user can still remove what is locked, with LockCompliance nobody can.
const (
	LockGovernance LockMode = "governance"
	LockCompliance LockMode = "compliance"
)

const (
	defaultRegion      = "us-east-1"
	defaultConnections = 4
	defaultAttempts    = 5
	defaultBackoff     = 20 * time.Second
	defaultStall       = time.Minute
	defaultPiece       = 16 << 20
	// minPiece and maxPieces are S3's limits of a multipart upload.
	minPiece  = 5 << 20
	maxPieces = 10_000
	// maxConnections keeps a slip in the configuration from taking all memory.
	maxConnections = 256
)

// Options of a store. Bucket and Now must be set.
type Options struct {
	Bucket string
	// Prefix is what all keys begin with; a '/' or '-' at its end keeps it apart from others.
	Prefix string
	// Endpoint is the URL of the server; empty for Amazon's.
	Endpoint string
	Region   string // empty: us-east-1
	// Profile of the shared credentials file; empty: what the SDK's chain finds.
	Profile   string
	PathStyle bool
	// CA is certificates in PEM that the server is trusted by, in place of the system's.
	CA []byte
	// RateBytes is how many bytes a second are sent at most, all connections together; 0: no limit.
	RateBytes int64
	// Connections is how many requests of one file are under way at a time; 0: 4.
	Connections int
	// PieceBytes is the size of a piece of a multipart upload; 0: 16 MiB. Each file being written holds one piece more
	// than it has connections in memory.
	PieceBytes int64
	// PartBytes is the length of the longest part that will be written, if there is a limit. Pieces grow where a file of
	// that length, or else of the room on the volume, would have more than 10000.
	PartBytes int64
	// CapacityBytes is the length of a volume, each header counted with vtape.HeaderBytes; 0: no limit.
	CapacityBytes int64
	// StorageClass of the data; labels and headers stay in the standard class.
	StorageClass string
	// Encryption by the server: "AES256" or "aws:kms"; KMSKey is the key of the latter, if not the account's own.
	Encryption, KMSKey string
	Checksum           Checksum // empty: crc32c
	// LockMode and LockUntil lock each object as it is written; LockUntil is asked each time.
	LockMode  LockMode
	LockUntil func() time.Time
	// AllowUnconditional takes a store that ignores conditions on writing: nothing keeps two writers apart then.
	AllowUnconditional bool
	// Attempts is how often a request is tried; 0: 5. The time between grows up to Backoff; 0: 20 s.
	Attempts int
	Backoff  time.Duration
	// Stall is after how long without a byte moving a request is given up; 0: 1 min.
	Stall time.Duration
	// Now is the clock that locks are compared with.
	Now func() time.Time
}

func (o Options) withDefaults() Options {
	o.Region = cmp.Or(o.Region, defaultRegion)
	o.Connections = cmp.Or(o.Connections, defaultConnections)
	o.PieceBytes = cmp.Or(o.PieceBytes, defaultPiece)
	o.Checksum = cmp.Or(o.Checksum, ChecksumCRC32C)
	o.Attempts = cmp.Or(o.Attempts, defaultAttempts)
	o.Backoff = cmp.Or(o.Backoff, defaultBackoff)
	o.Stall = cmp.Or(o.Stall, defaultStall)
	return o
}

func (o Options) check() error {
	switch {
	case o.Bucket == "":
		return errors.New("no bucket")
	case o.Now == nil:
		return errors.New("no clock")
	case o.Connections < 1 || o.Connections > maxConnections:
		return fmt.Errorf("%d connections: want 1 to %d", o.Connections, maxConnections)
	case o.PieceBytes < minPiece || o.PieceBytes%vtape.PartAlign != 0:
		return fmt.Errorf("pieces of %d bytes: want a multiple of %d, from %d on", o.PieceBytes, vtape.PartAlign, minPiece)
	case o.Checksum != ChecksumCRC32C && o.Checksum != ChecksumNone:
		return fmt.Errorf("checksum %q: want %s or %s", o.Checksum, ChecksumCRC32C, ChecksumNone)
	case !slices.Contains([]string{"", "AES256", "aws:kms"}, o.Encryption):
		return fmt.Errorf("encryption %q: want AES256 or aws:kms", o.Encryption)
	case o.KMSKey != "" && o.Encryption != "aws:kms":
		return errors.New("a KMS key is for encryption aws:kms")
	case !slices.Contains([]LockMode{"", LockGovernance, LockCompliance}, o.LockMode):
		return fmt.Errorf("lock %q: want %s or %s", o.LockMode, LockGovernance, LockCompliance)
	case (o.LockMode == "") != (o.LockUntil == nil):
		return errors.New("a lock needs its mode and its end")
	case o.RateBytes < 0 || o.CapacityBytes < 0 || o.PartBytes < 0 || o.Attempts < 1:
		return errors.New("negative limit")
	}
	return nil
}

// Store is a prefix in a bucket, and the connection to it. It may be used concurrently.
type Store struct {
	client *s3.Client
	opts   Options
	// unsigned is set where TLS protects the data on its way and it need not be hashed for the signature as well.
	unsigned bool
}

// New makes a store. It reads the SDK's own configuration and credentials, but sends no request.
func New(ctx context.Context, opts Options) (*Store, error) {
	s, err := newStore(ctx, opts.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", opts.Bucket, err)
	}
	return s, nil
}

func newStore(ctx context.Context, opts Options) (*Store, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	unsigned := true
	if opts.Endpoint != "" {
		u, err := url.Parse(opts.Endpoint)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, fmt.Errorf("endpoint %q: want http://HOST or https://HOST", opts.Endpoint)
		}
		unsigned = u.Scheme == "https"
	}
	client, err := newHTTPClient(opts)
	if err != nil {
		return nil, err
	}
	cfg, err := config.LoadDefaultConfig(ctx,
		config.WithRegion(opts.Region), config.WithSharedConfigProfile(opts.Profile), config.WithLogger(logging.Nop{}),
		// We send the checksums that the options name, and no others: many servers refuse the SDK's own choice.
		config.WithRequestChecksumCalculation(aws.RequestChecksumCalculationWhenRequired),
		config.WithResponseChecksumValidation(aws.ResponseChecksumValidationWhenRequired))
	if err != nil {
		return nil, fmt.Errorf("read the SDK's configuration: %w", err)
	}
	c := s3.NewFromConfig(cfg, func(o *s3.Options) {
		if opts.Endpoint != "" {
			o.BaseEndpoint = &opts.Endpoint
		}
		o.UsePathStyle = opts.PathStyle
		o.HTTPClient = client
		o.Retryer = newRetryer(opts)
		o.DisableLogOutputChecksumValidationSkipped = true
	})
	return &Store{client: c, opts: opts, unsigned: unsigned}, nil
}

// newRetryer tries again what may pass: also two writers at one key, and answers that break off, which the SDK does not.
func newRetryer(opts Options) aws.Retryer {
	return retry.AddWithErrorCodes(retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = opts.Attempts
		o.MaxBackoff = opts.Backoff
		o.Backoff = retry.NewExponentialJitterBackoff(opts.Backoff)
		// The SDK's own limit on retries would end a long night's upload for faults hours apart.
		o.RateLimiter = ratelimit.None
		o.Retryables = append(o.Retryables, retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
			var broken *smithy.DeserializationError
			if errors.As(err, &broken) || errors.Is(err, io.ErrUnexpectedEOF) {
				return aws.TrueTernary
			}
			return aws.UnknownTernary
		}))
	}), "ConditionalRequestConflict", "OperationAborted", "BadDigest")
}

func certPool(pem []byte) (*x509.CertPool, error) {
	if len(pem) == 0 {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("no certificate in the CA file")
	}
	return pool, nil
}

// where names the store for messages.
func (s *Store) where() string { return "s3:" + s.opts.Bucket }

func (s *Store) lockMode() types.ObjectLockMode {
	if s.opts.LockMode == LockCompliance {
		return types.ObjectLockModeCompliance
	}
	return types.ObjectLockModeGovernance
}

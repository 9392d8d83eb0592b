package s3_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	tmtypes "github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager/types"

	"holdfast/internal/s3test"
	"holdfast/vtape/devicetest"
	"holdfast/vtape/s3"
)

const (
	benchBytes  = 256 * mib
	benchPiece  = 16 * mib
	benchAtOnce = 4
)

// rival is the SDK's own uploader with the same pieces, connections and checksums.
func rival(server *s3test.Server) *transfermanager.Client {
	return transfermanager.New(server.Client(), func(o *transfermanager.Options) {
		o.PartSizeBytes, o.Concurrency = benchPiece, benchAtOnce
	})
}

func benchStore(b *testing.B, server *s3test.Server) *s3.Device {
	o := options(server.URL)
	o.PieceBytes, o.Connections = benchPiece, benchAtOnce
	dev := open(b, o).Device("v-")
	must(b, dev.Format(ctx, devicetest.Label("DEMO-001")))
	return dev
}

// plain hides all of a reader but Read, as a dump that is being made has no more.
type plain struct{ io.Reader }

// BenchmarkS3Upload writes parts by turns with the device and with the SDK's own uploader; x-sdk is how many times as
// fast the device is.
func BenchmarkS3Upload(b *testing.B) {
	server := start(b)
	dev, other := benchStore(b, server), rival(server)
	data := devicetest.Data(1, benchBytes)
	var ours, theirs time.Duration
	b.SetBytes(benchBytes)
	for i := range b.N {
		begin := time.Now()
		w, err := dev.Create(ctx, i+1, devicetest.Header(1))
		must(b, err)
		_, err = io.CopyBuffer(struct{ io.Writer }{w}, plain{bytes.NewReader(data)}, make([]byte, mib))
		must(b, err)
		_, err = w.Close()
		must(b, err)
		ours += time.Since(begin)

		b.StopTimer()
		begin = time.Now()
		_, err = other.UploadObject(ctx, &transfermanager.UploadObjectInput{
			Bucket: aws.String(bucket), Key: aws.String(fmt.Sprint("sdk-", i)), Body: plain{bytes.NewReader(data)},
			ChecksumAlgorithm: tmtypes.ChecksumAlgorithmCrc32c,
		})
		must(b, err)
		theirs += time.Since(begin)
		b.StartTimer()
	}
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "x-sdk")
}

// BenchmarkS3Download reads a part from front to back by turns with the device, and with the SDK's own downloader.
func BenchmarkS3Download(b *testing.B) {
	server := start(b)
	dev, other := benchStore(b, server), rival(server)
	devicetest.Write(b, dev, 1, devicetest.Header(1), devicetest.Data(1, benchBytes))
	var ours, theirs time.Duration
	b.SetBytes(benchBytes)
	buf := make([]byte, mib)
	for range b.N {
		begin := time.Now()
		r, err := dev.Open(ctx, 1)
		must(b, err)
		for off := int64(0); off < benchBytes; off += mib {
			_, err = r.ReadAt(buf, off)
			must(b, err)
		}
		must(b, r.Close())
		ours += time.Since(begin)

		b.StopTimer()
		begin = time.Now()
		out, err := other.GetObject(ctx, &transfermanager.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("v-f00000001-mp.data")})
		must(b, err)
		_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, plain{out.Body}, buf)
		must(b, err)
		theirs += time.Since(begin)
		b.StartTimer()
	}
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "x-sdk")
}

package s3_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"holdfast/internal/s3test"
	"holdfast/vtape"
	"holdfast/vtape/devicetest"
	"holdfast/vtape/s3"
)

// versions lists all versions in a bucket, those of deletions as "deleted KEY".
func versions(t testing.TB, server *s3test.Server, bucket string) []string {
	t.Helper()
	out, err := server.Client().ListObjectVersions(context.Background(), &awss3.ListObjectVersionsInput{Bucket: &bucket})
	must(t, err)
	var list []string
	for _, v := range out.Versions {
		list = append(list, aws.ToString(v.Key))
	}
	for _, m := range out.DeleteMarkers {
		list = append(list, "deleted "+aws.ToString(m.Key))
	}
	slices.Sort(list)
	return list
}

// A locked volume is refused before anything changes, and tells until when; after that time it is erased, with all its
// versions.
func TestObjectLock(t *testing.T) {
	server := s3test.Start(t)
	for _, mode := range []s3.LockMode{s3.LockGovernance, s3.LockCompliance} {
		name := string(mode)
		server.Bucket(t, name, true)
		o := options(server.URL)
		o.Bucket, o.LockMode = name, mode
		// So soon over that the test need not wait long, and so late that what comes first happens before.
		until := time.Now().Add(4 * time.Second).Truncate(time.Second)
		clock := until.Add(-time.Second)
		o.Now = func() time.Time { return clock }
		o.LockUntil = func() time.Time { return until }
		dev := open(t, o).Device("v-")
		must(t, dev.Format(ctx, devicetest.Label("DEMO-001")))
		devicetest.Write(t, dev, 1, devicetest.Header(1), devicetest.Data(1, 6*mib))
		devicetest.Write(t, dev, 2, devicetest.Header(2), []byte("short"))
		if got, err := dev.LockedUntil(ctx); err != nil || !got.Equal(until) {
			t.Errorf("%s: locked until %v, %v; want %v", mode, got, err, until)
		}
		for _, k := range []string{"v-special-tapestart", "v-f00000001-filestart", "v-f00000001-mp.data", "v-f00000002-mp.data"} {
			checkRetention(t, server, name, k, until)
		}
		before := versions(t, server, name)
		err := dev.Format(ctx, devicetest.Label("DEMO-002"))
		if !errors.Is(err, s3.ErrLocked) || !strings.Contains(err.Error(), until.UTC().Format(time.RFC3339)) {
			t.Errorf("%s: format of a locked volume: %v", mode, err)
		}
		if after := versions(t, server, name); !slices.Equal(before, after) {
			t.Errorf("%s: a refused format changes %q to %q", mode, before, after)
		}
		if err := dev.Remove(ctx, 2); !errors.Is(err, s3.ErrLocked) {
			t.Errorf("%s: remove a locked file: %v", mode, err)
		}
		devicetest.Check(t, dev, 2, devicetest.Header(2), []byte("short"))

		clock = until.Add(time.Second)
		if got, err := dev.LockedUntil(ctx); err != nil || !got.IsZero() {
			t.Errorf("%s: locked until %v when that is over, %v", mode, got, err)
		}
		until = until.Add(time.Hour)
		for { // the server has its own clock
			if err = dev.Format(ctx, devicetest.Label("DEMO-002")); !errors.Is(err, s3.ErrDenied) || time.Now().After(clock.Add(time.Minute)) {
				break
			}
		}
		must(t, err)
		if got := versions(t, server, name); !slices.Equal(got, []string{"v-special-tapestart"}) {
			t.Errorf("%s: after the erasure: %q", mode, got)
		}
	}
}

func checkRetention(t *testing.T, server *s3test.Server, bucket, key string, until time.Time) {
	t.Helper()
	out, err := server.Client().GetObjectRetention(ctx, &awss3.GetObjectRetentionInput{Bucket: &bucket, Key: &key})
	if err != nil || !aws.ToTime(out.Retention.RetainUntilDate).Equal(until) {
		t.Errorf("%s: %+v, %v", key, out, err)
	}
}

// A legal hold that an administrator has set keeps the volume as well, and so does what hides behind a deletion.
func TestLegalHoldAndHiddenVersions(t *testing.T) {
	server := s3test.Start(t)
	server.Bucket(t, bucket, true)
	dev := open(t, options(server.URL)).Device("v-")
	must(t, dev.Format(ctx, devicetest.Label("DEMO-001")))
	devicetest.Write(t, dev, 1, devicetest.Header(1), []byte("x"))
	if until, err := dev.LockedUntil(ctx); err != nil || !until.IsZero() {
		t.Errorf("without a lock: %v, %v", until, err)
	}
	hold := func(status string) {
		t.Helper()
		_, err := server.Client().PutObjectLegalHold(ctx, &awss3.PutObjectLegalHoldInput{
			Bucket: aws.String(bucket), Key: aws.String("v-f00000001-mp.data"), LegalHold: legalHold(status),
		})
		must(t, err)
	}
	hold("ON")
	if err := dev.Format(ctx, devicetest.Label("DEMO-002")); !errors.Is(err, s3.ErrLocked) || !strings.Contains(err.Error(), "legal hold") {
		t.Errorf("format under a legal hold: %v", err)
	}
	hold("OFF")
	// Somebody deletes the file as one does in a bucket without versions: it is only hidden.
	for _, k := range []string{"v-f00000001-filestart", "v-f00000001-mp.data"} {
		_, err := server.Client().DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: aws.String(bucket), Key: aws.String(k)})
		must(t, err)
	}
	if files, err := dev.Files(ctx); err != nil || len(files) > 0 {
		t.Errorf("files %v, %v", files, err)
	}
	if n, err := dev.CleanUp(ctx); n != 4 || err != nil {
		t.Errorf("clean-up: %d, %v", n, err)
	}
	if got := versions(t, server, bucket); !slices.Equal(got, []string{"v-special-tapestart"}) {
		t.Errorf("after the clean-up: %q", got)
	}
}

// Locking in a bucket that cannot lock is an error before anything is written.
func TestLockNeedsItsBucket(t *testing.T) {
	server := start(t)
	o := options(server.URL)
	o.LockMode, o.LockUntil = s3.LockCompliance, func() time.Time { return time.Now().Add(time.Hour) }
	dev := open(t, o).Device("v-")
	if err := dev.Format(ctx, devicetest.Label("DEMO-001")); err == nil || !strings.Contains(err.Error(), "object lock") {
		t.Errorf("format: %v", err)
	}
	if _, err := dev.ReadLabel(ctx); !errors.Is(err, vtape.ErrBlank) {
		t.Errorf("label: %v", err)
	}
}

func legalHold(status string) *types.ObjectLockLegalHold {
	return &types.ObjectLockLegalHold{Status: types.ObjectLockLegalHoldStatus(status)}
}

package run

import (
	"context"
	"fmt"
	"time"

	"holdfast/configs"
	"holdfast/internal/vfs"
	"holdfast/vtape"
	"holdfast/vtape/dir"
	"holdfast/vtape/s3"
)

// shelf gives what the storage's library stands on, without looking at it.
func (o Opener) shelf(ctx context.Context, st configs.Storage) (vtape.Shelf, error) {
	switch st.Device {
	case configs.DeviceDir:
		return o.dirShelf(st, st.Path), nil
	case configs.DeviceS3:
		return o.bucketShelf(ctx, st, st.S3)
	case configs.DeviceRAIT:
		return o.setShelf(ctx, st)
	}
	return nil, fmt.Errorf("storage %s: device %s is not built in", st.Name, st.Device)
}

// dirShelf gives the shelf of a storage, or of a member of it, in a directory.
func (o Opener) dirShelf(st configs.Storage, path string) vtape.Shelf {
	return dir.NewShelf(o.FS, dir.ShelfOptions{Root: path, Slots: st.Slots, Storage: st.Name, CapacityBytes: int64(st.VolumeSize)})
}

// bucketShelf gives the shelf of a storage, or of a member of it, in a bucket. Nothing is sent yet.
func (o Opener) bucketShelf(ctx context.Context, st configs.Storage, b configs.S3) (vtape.Shelf, error) {
	opts := s3.Options{
		Bucket: b.Bucket, Prefix: b.Prefix, Endpoint: b.Endpoint, Region: b.Region, Profile: b.Profile, PathStyle: b.PathStyle,
		RateBytes: int64(b.Rate), Connections: b.Connections, PieceBytes: int64(b.PieceSize), PartBytes: int64(st.PartSize),
		CapacityBytes: int64(st.VolumeSize), StorageClass: b.StorageClass, Encryption: b.Encryption, KMSKey: b.KMSKey,
		Checksum: s3.Checksum(b.Checksum), LockMode: s3.LockMode(b.Lock), Now: o.Now,
	}
	if b.Lock != "" {
		opts.LockUntil = func() time.Time { return opts.Now().AddDate(0, 0, int(b.LockDays)) }
	}
	if b.CAFile != "" {
		ca, err := vfs.ReadFile(o.FS, b.CAFile)
		if err != nil {
			return nil, fmt.Errorf("storage %s: ca-file: %w", st.Name, err)
		}
		opts.CA = ca
	}
	store, err := s3.New(ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("storage %s: %w", st.Name, err)
	}
	names, err := b.VolumeNames()
	if err != nil {
		return nil, fmt.Errorf("storage %s: volumes: %w", st.Name, err)
	}
	if names != nil {
		return store.NamedShelf(st.Name, names), nil
	}
	return store.Shelf(st.Name, st.Slots), nil
}

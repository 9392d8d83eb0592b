package configs

import (
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	// minPiece and maxPiece are Amazon's limits for a piece of a multipart upload.
	minPiece = 5 * MiB
	maxPiece = 5 * GiB
	// maxConnections keeps the memory for pieces, and the patience of servers, within bounds.
	maxConnections = 64
	// maxPrefix leaves room in a key (1024 bytes) for what the device puts behind it.
	maxPrefix = 512
	// maxMembers is the limit of package vtape/rait.
	maxMembers = 32
)

// deviceKeys are the keys that belong to one kind of device only.
var deviceKeys = []struct {
	kind DeviceKind
	keys []string
}{
	{DeviceDir, []string{"path"}},
	{DeviceS3, []string{"s3"}},
	{DeviceRAIT, []string{"members", "parity"}},
}

// deviceOnly refuses keys of other kinds of devices: whoever wrote one expects something that would not happen.
func (k check) deviceOnly(path string, kind DeviceKind) {
	for _, other := range deviceKeys {
		for _, key := range other.keys {
			if other.kind != kind {
				k.own(false, join(path, key), fmt.Sprintf("belongs to device %s, and this one is %s", other.kind, kind), "")
			}
		}
	}
}

func (k check) device(path string, s Storage) {
	k.deviceOnly(path, s.Device)
	switch s.Device {
	case DeviceDir:
		k.path(join(path, "path"), s.Path)
	case DeviceS3:
		k.s3(join(path, "s3"), s.S3)
		k.slotsNamed(join(path, "s3"), s.S3, s.Slots)
	case DeviceRAIT:
		k.members(path, s)
	}
}

func (k check) members(path string, s Storage) {
	at, n := join(path, "members"), len(s.Members)
	k.must(n >= 2 && n <= maxMembers, at, fmt.Sprintf("must be 2 to %d, and are %d", maxMembers, n), "two are a mirror, with more one is parity")
	if n >= 2 {
		k.own(s.Parity >= 1 && s.Parity < n, join(path, "parity"), fmt.Sprintf("must be 1 to %d, one less than the members", n-1), "")
	}
	for i, m := range s.Members {
		member := join(at, strconv.Itoa(i))
		k.deviceOnly(member, m.Device)
		switch m.Device {
		case DeviceDir:
			k.path(join(member, "path"), m.Path)
		case DeviceS3:
			k.s3(join(member, "s3"), m.S3)
			k.slotsNamed(join(member, "s3"), m.S3, s.Slots)
		default:
			k.fail(join(member, "device"), problem{Message: fmt.Sprintf("a member is of device dir or s3, not %s", m.Device)})
		}
	}
}

var (
	// bucketForm is Amazon's rule for the names of buckets, which other servers follow.
	bucketForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{1,61})[a-z0-9]$`)
	prefixForm = regexp.MustCompile(`^[A-Za-z0-9!_.*'()/-]*[/-]$`)
)

func (k check) s3(path string, s S3) {
	ip, errIP := netip.ParseAddr(s.Bucket)
	k.must(bucketForm.MatchString(s.Bucket) && !strings.Contains(s.Bucket, "..") && (errIP != nil || !ip.Is4()), join(path, "bucket"),
		fmt.Sprintf("%q is not the name of a bucket", s.Bucket), "3 to 63 small letters, digits, '-' and '.'")
	k.prefix(join(path, "prefix"), s.Prefix)
	k.volumes(join(path, "volumes"), s)
	k.endpoint(join(path, "endpoint"), s.Endpoint)
	for key, word := range map[string]string{
		"region": s.Region, "profile": s.Profile, "storage-class": s.StorageClass, "kms-key": s.KMSKey,
	} {
		k.must(word == "" || k.oneWord(word), join(path, key), fmt.Sprintf("%q is not one word", word), "")
	}
	k.must(!startsAtHome(s.CAFile), join(path, "ca-file"), noHome(s.CAFile), homeHint)
	k.must(s.Rate >= 0, join(path, "rate"), "must not be negative", "0 means no limit")
	k.must(s.Connections >= 0 && s.Connections <= maxConnections, join(path, "connections"),
		fmt.Sprintf("must be 0 to %d", maxConnections), "")
	k.must(s.PieceSize == 0 || s.PieceSize >= minPiece && s.PieceSize <= maxPiece && s.PieceSize%partUnit == 0, join(path, "piece-size"),
		fmt.Sprintf("%s is not a multiple of %s from %s to %s", s.PieceSize, partUnit, minPiece, maxPiece), "S3 takes no smaller pieces but the last")
	k.encryption(path, s)
	k.must((s.Lock == "") == (s.LockDays == 0), path, "lock and lock-days go together", "lock-days: 30d locks what is written for 30 days")
	if s.StorageClass == "GLACIER" || s.StorageClass == "DEEP_ARCHIVE" {
		k.warn(join(path, "storage-class"), s.StorageClass+" cannot be read before each object is restored there, so neither verify nor restore works at once")
	}
}

func (k check) encryption(path string, s S3) {
	at := join(path, "encryption")
	switch s.Encryption {
	case "", "AES256", "aws:kms":
	default:
		k.fail(at, problem{
			Message: fmt.Sprintf("%q is not AES256 or aws:kms", s.Encryption),
			Hint:    didYouMean(s.Encryption, []string{"AES256", "aws:kms"}),
		})
	}
	k.must(s.KMSKey == "" || s.Encryption == "aws:kms", join(path, "kms-key"), "needs encryption: aws:kms", "")
}

// prefix checks what the keys begin with. It ends with a mark, so that no prefix of a volume begins with another's.
func (k check) prefix(path, prefix string) {
	if prefix == "" {
		return
	}
	odd := strings.HasPrefix(prefix, "/") || strings.Contains(prefix, "//") || strings.Contains("/"+prefix, "/./") || strings.Contains("/"+prefix, "/../")
	hint := ""
	if strings.TrimRight(prefix, "/-") == prefix {
		hint = "write " + prefix + "/"
	}
	k.must(!odd && len(prefix) <= maxPrefix && prefixForm.MatchString(prefix), path,
		fmt.Sprintf("%q: a prefix is made of letters, digits and !_.*'()-/, and ends with '/' or '-'", prefix), hint)
}

// volumes checks the names of volumes, none of which may begin with another: their objects could not be told apart.
func (k check) volumes(path string, s S3) {
	names, err := s.VolumeNames()
	if err != nil {
		k.fail(path, problem{Message: err.Error()})
		return
	}
	sorted := slices.Sorted(slices.Values(names))
	for i, name := range sorted {
		k.prefix(path, name)
		k.must(name != "", path, "a name is empty", "vol{1,2}- names two volumes")
		k.must(i == 0 || !strings.HasPrefix(name, sorted[i-1]), path, fmt.Sprintf("%q begins with %q", name, sorted[max(i, 1)-1]), "")
	}
}

// slotsNamed holds the names of volumes, if there are any, to the number of slots.
func (k check) slotsNamed(path string, s S3, slots int) {
	names, err := s.VolumeNames()
	k.must(err != nil || names == nil || len(names) == slots, join(path, "volumes"), fmt.Sprintf("names %d volumes, and there are %d slots", len(names), slots), "")
}

func (k check) endpoint(path, text string) {
	if text == "" {
		return
	}
	u, err := url.Parse(text)
	ok := err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && strings.Trim(u.Path, "/") == "" &&
		u.RawQuery == "" && u.Fragment == ""
	k.must(ok, path, fmt.Sprintf("%q is not the URL of a server", text), "such as https://s3.example.org:9000; the bucket has a key of its own")
	if ok {
		k.must(u.User == nil, path, "holds a user or password", "credentials come from the environment or the shared credentials file")
	}
}

// location is a place that one storage or member writes to; it is nobody else's.
type location struct {
	// dir is a directory, or "" and the others say which keys of which bucket.
	dir, endpoint, bucket, prefix string
	path                          string // of the key that says so
	storage                       Storage
}

func (l location) meets(o location) bool {
	if l.dir != "" || o.dir != "" {
		return l.dir == o.dir
	}
	return l.endpoint == o.endpoint && l.bucket == o.bucket &&
		(strings.HasPrefix(l.prefix, o.prefix) || strings.HasPrefix(o.prefix, l.prefix))
}

// locations gives where a storage writes.
func locations(path string, s Storage) []location {
	at := func(path string, kind DeviceKind, dir string, bucket S3) location {
		if kind == DeviceDir && dir == "" {
			return location{}
		}
		if kind == DeviceDir {
			return location{dir: filepath.Clean(dir), path: join(path, "path"), storage: s}
		}
		return location{
			endpoint: strings.TrimRight(strings.ToLower(bucket.Endpoint), "/"), bucket: bucket.Bucket, prefix: bucket.Prefix,
			path: join(path, "s3"), storage: s,
		}
	}
	if s.Device != DeviceRAIT {
		return []location{at(path, s.Device, s.Path, s.S3)}
	}
	var list []location
	for i, m := range s.Members {
		list = append(list, at(join(join(path, "members"), strconv.Itoa(i)), m.Device, m.Path, m.S3))
	}
	return list
}

// apart finds what two storages, or a storage and a holding disk, would both write to.
func (k check) apart() {
	var seen []location
	for _, s := range k.c.Storages() {
		for _, l := range locations(join("storage", s.Name), s) {
			if l.dir != "" || l.bucket != "" { // else told elsewhere
				k.alone(l, seen)
				seen = append(seen, l)
			}
		}
	}
}

func (k check) alone(l location, seen []location) {
	for _, h := range k.c.Holding {
		k.must(l.dir == "" || filepath.Clean(h.Dir) != l.dir, l.path, "is also a holding disk", "")
	}
	for _, o := range seen {
		if !l.meets(o) || takeTurns(l.storage, o.storage) {
			continue
		}
		text, hint := "is also where storage "+o.storage.Name+" writes", ""
		if l.storage.Name == o.storage.Name {
			text = "is another member's, too"
		}
		if l.bucket != "" {
			hint = "give each a prefix of its own, of which none begins with another"
		}
		k.fail(l.path, problem{Message: text, Hint: hint})
		return
	}
}

// takeTurns tells whether two storages may have one directory: disks of a pool that are mounted there by turns. Which of
// them it is, the mark in the library says.
func takeTurns(a, b Storage) bool {
	return a.Name != b.Name && a.Device == DeviceDir && b.Device == DeviceDir && a.Removable && b.Removable && a.Pool != "" && a.Pool == b.Pool
}

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"holdfast/catalog"
	"holdfast/internal/s3test"
	"holdfast/internal/testtools"
	"holdfast/vtape"
)

// amandaS3Address is where the server also listens for Amanda, which can use no port but its scheme's.
const amandaS3Address = "127.0.0.81"

// fileStart is a key of a file's header: the slot and the file's number.
var fileStart = regexp.MustCompile(`^(slot[0-9]+)-f([0-9a-f]{8})-filestart$`)

// bucketParts is parts for a library in a bucket, whose objects are files of the server's directory.
func (s *amandaSite) bucketParts(bucket string) []partFile {
	s.Helper()
	entries, err := os.ReadDir(bucket) // sorted: fewer than ten slots
	if err != nil {
		s.Fatal(err)
	}
	var list []partFile
	for _, e := range entries {
		name := fileStart.FindStringSubmatch(e.Name())
		if name == nil {
			continue
		}
		h := objectHeader(s, filepath.Join(bucket, e.Name()))
		if h.Program == catalog.ProgramRecord {
			continue // our own catalog's: Amanda is not told of it
		}
		number, err := strconv.ParseInt(name[2], 16, 0)
		if err != nil {
			s.Fatal(err)
		}
		data, err := os.Stat(filepath.Join(bucket, strings.TrimSuffix(e.Name(), "filestart")+"mp.data"))
		if err != nil {
			s.Fatal(err)
		}
		label := objectHeader(s, filepath.Join(bucket, name[1]+"-special-tapestart"))
		list = append(list, partFile{name[1], int(number), label, h, data.Size()})
	}
	return list
}

// objectHeader reads a header, which is the text alone in a bucket.
func objectHeader(t testing.TB, path string) vtape.Header {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	h, err := vtape.ParseHeader(append(data, make([]byte, vtape.HeaderBytes-len(data))...))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return h
}

// Amanda's own commands list, check and restore what two nights have written to a bucket, by the exported catalog.
func TestAmandaReadsOurBucket(t *testing.T) {
	if os.Geteuid() != 0 {
		testtools.Lacking(t, "Amanda reads S3 on port 80 alone and as the user backup, and only root can do both")
	}
	server := s3test.Start(t, "--port", amandaS3Address+":80")
	server.Bucket(t, "tapes", false)
	s3test.Login(t)
	s := makeAmandaSite(t, `device: s3, s3: {bucket: tapes, endpoint: "http://`+amandaS3Address+`", path-style: true, region: `+s3test.Region+`}`)
	s.twoNights()
	parts := s.bucketParts(filepath.Join(server.Dir, "tapes"))
	dumps := byDump(parts)
	t.Run("media", func(t *testing.T) { checkShapes(t, dumps) })
	s.exportBucket()
	t.Run("amtape", func(t *testing.T) { checkAmtape(t, s, parts) })
	t.Run("find", func(t *testing.T) { checkFind(t, s, parts) })
	t.Run("amcheckdump", func(t *testing.T) { checkAmcheckdump(t, s, parts) })
	t.Run("amfetchdump", func(t *testing.T) { checkChains(t, s, dumps, (*amandaSite).amfetchdump) })
	t.Run("again", func(t *testing.T) {
		s.exportBucket() // the keys stay
		checkAmcheckdump(t, s, parts)
	})
}

// exportBucket exports, and puts the credentials of the test's server where the export says.
func (s *amandaSite) exportBucket() {
	s.Helper()
	code, _, stderr := holdfast(s, "--config", s.config, "volume", "export-amanda", s.path("export"))
	keys := s.path(exportDir + "/keys.conf")
	if code != 0 || !strings.Contains(stderr, "put the credentials of the store into "+keys) {
		s.Fatalf("exit %d: %s", code, stderr)
	}
	text, err := os.ReadFile(keys)
	if err != nil {
		s.Fatal(err)
	}
	s.write(exportDir+"/keys.conf", []byte(strings.NewReplacer(
		"PUT THE ACCESS KEY HERE", s3test.AccessKey, "PUT THE SECRET KEY HERE", s3test.SecretKey).Replace(string(text))))
	s.handOver()
}

package amanda_test

import (
	"fmt"
	"strings"
	"testing"

	"holdfast/configs"
	"holdfast/internal/vfs"
)

// members makes the libraries of a parity set, but for the one that is missing, and gives their places.
func members(t *testing.T, fsys vfs.FS, n, missing int) []configs.Member {
	t.Helper()
	var list []configs.Member
	for i := range n {
		m := configs.Member{Device: configs.DeviceDir, Path: fmt.Sprintf("/m%d", i+1)}
		if i+1 != missing {
			must(t, vfs.MkdirAll(fsys, m.Path+"/slot1", 0o700))
		}
		list = append(list, m)
	}
	return list
}

// What amanda.conf says of each kind of storage, and which Amanda cannot read.
func TestChangers(t *testing.T) {
	bucket := configs.S3{Bucket: "b", Prefix: "p/", Endpoint: "http://s3.example:9000", Region: "eu-1", PathStyle: true, CAFile: "/ca.pem"}
	for name, tc := range map[string]struct {
		members, missing int
		change           func(*configs.Storage)
		want             []string
		note, problem    string
	}{
		"mirror":   {members: 2, want: []string{`tpchanger "chg-rait:{chg-disk:/m1,chg-disk:/m2}"`}},
		"set of 5": {members: 5, want: []string{`tpchanger "chg-rait:{chg-disk:/m1,chg-disk:/m2,chg-disk:/m3,chg-disk:/m4,chg-disk:/m5}"`}},
		"a member missing": {members: 3, missing: 2, note: "member 2, /m2, is not there", want: []string{
			"define device holdfast-set-slot1 {", `tapedev "rait:{file:/m1/slot1,MISSING,file:/m3/slot1}"`,
			`tapedev "rait:{file:/m1/slot2,MISSING,file:/m3/slot2}"`, `tpchanger "chg-multi:{holdfast-set-slot1,holdfast-set-slot2}"`,
		}},
		"two may be lost": {members: 5, problem: "of 5 members any 2 may be lost", change: func(st *configs.Storage) { st.Parity = 2 }},
		"set of 6":        {members: 6, problem: "up to 5"},
		"two missing": {members: 3, missing: 2, problem: "2 of its members are not there", change: func(st *configs.Storage) {
			st.Members[0].Path = "/nowhere"
		}},
		"bucket among the members": {members: 3, problem: "member 2 is not a directory", change: func(st *configs.Storage) {
			st.Members[1] = configs.Member{Device: configs.DeviceS3, S3: bucket}
		}},
		"bucket": {note: "port 9000", change: func(st *configs.Storage) { st.Device, st.S3 = configs.DeviceS3, bucket }, want: []string{
			`includefile "/out/set/keys.conf"`, "holdfast-keys\n", `tpchanger "chg-multi:s3:b/p/slot{1,2}-"`, `device-property "S3_HOST" "s3.example"`,
			`device-property "S3_SSL" "off"`, `device-property "S3_SUBDOMAIN" "off"`, `device-property "STORAGE_API" "AWS4"`,
			`device-property "S3_BUCKET_LOCATION" "eu-1"`, `device-property "CREATE_BUCKET" "off"`, `device-property "SSL_CA_INFO" "/ca.pem"`,
		}},
		"volumes of another name": {note: "put the credentials", want: []string{`tpchanger "chg-multi:s3:b/{vol1-,vol2-}"`}, change: func(st *configs.Storage) {
			st.Device, st.S3 = configs.DeviceS3, configs.S3{Bucket: "b", Volumes: "vol{1,2}-"}
		}},
		"bucket of Amazon's": {note: "put the credentials", want: []string{`device-property "S3_SUBDOMAIN" "on"`}, change: func(st *configs.Storage) {
			st.Device, st.S3 = configs.DeviceS3, configs.S3{Bucket: "b"}
		}},
		"unknown": {problem: "device floppy", change: func(st *configs.Storage) { st.Device = "floppy" }},
	} {
		fsys := vfs.NewMem()
		st := configs.Storage{Name: "set", Device: configs.DeviceRAIT, Parity: 1, Slots: 2, VolumeSize: 1 << 20, Label: "V%", Members: members(t, fsys, tc.members, tc.missing)}
		if tc.change != nil {
			tc.change(&st)
		}
		got, err := exporter(fsys, newStore(t)).Export(t.Context(), "/out", []configs.Storage{st})
		must(t, err)
		if !strings.Contains(got[0].Problem, tc.problem) || (got[0].Problem == "") != (tc.problem == "") {
			t.Errorf("%s: problem %q, want %q", name, got[0].Problem, tc.problem)
		}
		if notes := strings.Join(got[0].Notes, "\n"); !strings.Contains(notes, tc.note) || tc.note == "" && notes != "" {
			t.Errorf("%s: notes %q, want %q", name, notes, tc.note)
		}
		conf := tree(t, fsys, "/out")["set/amanda.conf"]
		for _, want := range tc.want {
			if !strings.Contains(conf, want) {
				t.Errorf("%s: amanda.conf does not say %s:\n%s", name, want, conf)
			}
		}
	}
}

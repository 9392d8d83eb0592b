package amanda

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strconv"
	"strings"

	"holdfast/configs"
)

// ErrForm: Amanda has no device for a storage of this form.
var ErrForm = errors.New("Amanda has no device that reads it")

// The most members that a parity set may have for Amanda's commands to have been seen to read it.
const maxMembers = 5

// definitions are the lines of amanda.conf that define a storage's changer.
type definitions struct {
	text string
	// keys: the changer takes credentials from the file of keys.
	keys bool
	// notes are what the administrator should know of them.
	notes []string
}

// changer defines the changer called name for a storage. Missing tells which members of a parity set are not there; dir
// is where Amanda may keep state.
func changer(name, dir string, st configs.Storage, missing []int) (definitions, error) {
	switch st.Device {
	case configs.DeviceDir:
		return definitions{text: define("changer", name, conf("tpchanger", "chg-disk:"+escape(st.Path)))}, nil
	case configs.DeviceS3:
		return s3Changer(name, dir, st)
	case configs.DeviceRAIT:
		return raitChanger(name, dir, st, missing)
	}
	return definitions{}, fmt.Errorf("device %s: %w", st.Device, ErrForm)
}

func raitChanger(name, dir string, st configs.Storage, missing []int) (definitions, error) {
	n := len(st.Members)
	if n > maxMembers || n > 2 && st.Parity != 1 {
		return definitions{}, fmt.Errorf("%w: of %d members any %d may be lost; Amanda's sets have up to %d, of which one may be lost", ErrForm, n, st.Parity, maxMembers)
	}
	for i, m := range st.Members {
		if m.Device != configs.DeviceDir {
			return definitions{}, fmt.Errorf("%w: member %d is not a directory", ErrForm, i+1)
		}
	}
	if len(missing) == 0 {
		return definitions{text: define("changer", name, conf("tpchanger", "chg-rait:"+alternates(n, func(i int) string {
			return "chg-disk:" + escape(st.Members[i].Path)
		})))}, nil
	}
	if len(missing) > 1 {
		return definitions{}, fmt.Errorf("%w: %d of its members are not there", ErrForm, len(missing))
	}
	// Amanda does not find out by itself that a member is missing, and its changer of sets cannot be told. So each volume is
	// a device of its own, with the word MISSING in the member's place.
	var d definitions
	for slot := 1; slot <= st.Slots; slot++ {
		device := "rait:" + alternates(n, func(i int) string {
			if i == missing[0] {
				return "MISSING"
			}
			return "file:" + escape(path.Join(st.Members[i].Path, "slot"+strconv.Itoa(slot)))
		})
		d.text += define("device", volumeDevice(name, slot), conf("tapedev", device))
	}
	d.text += define("changer", name,
		conf("tpchanger", "chg-multi:"+alternates(st.Slots, func(i int) string { return volumeDevice(name, i+1) })),
		conf("changerfile", path.Join(dir, "state", "changer")))
	d.notes = append(d.notes, fmt.Sprintf("member %d, %s, is not there: Amanda is told to read without it", missing[0]+1, st.Members[missing[0]].Path))
	return d, nil
}

// volumeDevice names the device of one volume. A name may not have a colon, which begins the name of a kind of device.
func volumeDevice(storage string, slot int) string { return fmt.Sprintf("%s-slot%d", storage, slot) }

func s3Changer(name, dir string, st configs.Storage) (definitions, error) {
	d := definitions{keys: true}
	volumes, err := bucketVolumes(st)
	if err != nil {
		return d, err
	}
	lines := []string{
		keysName,
		conf("tpchanger", "chg-multi:s3:"+escape(st.S3.Bucket)+"/"+escape(st.S3.Prefix)+volumes),
		conf("changerfile", path.Join(dir, "state", "changer")),
		property("STORAGE_API", "AWS4"),
		// Amanda removes the bucket of a volume that it erases, if it may make one.
		property("CREATE_BUCKET", "off"),
		property("S3_SUBDOMAIN", onOff(!st.S3.PathStyle)),
	}
	if region := st.S3.Region; region != "" && region != "us-east-1" {
		lines = append(lines, property("S3_BUCKET_LOCATION", region))
	}
	if st.S3.CAFile != "" {
		lines = append(lines, property("SSL_CA_INFO", st.S3.CAFile))
	}
	if st.S3.Endpoint != "" {
		server, err := url.Parse(st.S3.Endpoint)
		if err != nil {
			return d, fmt.Errorf("endpoint: %w", err)
		}
		plain := server.Scheme == "http"
		lines = append(lines, property("S3_HOST", server.Hostname()), property("S3_SSL", onOff(!plain)))
		if port := server.Port(); port != "" && port != map[bool]string{true: "80", false: "443"}[plain] {
			d.notes = append(d.notes, fmt.Sprintf("%s: Amanda signs requests for the default port alone: lead port %s of the server's address to port %s",
				st.S3.Endpoint, map[bool]string{true: "80", false: "443"}[plain], port))
		}
	}
	d.text = define("changer", name, lines...)
	return d, nil
}

// bucketVolumes names the volumes of a bucket, as Amanda's list of several.
func bucketVolumes(st configs.Storage) (string, error) {
	names, err := st.S3.VolumeNames()
	if err != nil {
		return "", fmt.Errorf("volumes: %w", err)
	}
	if names != nil {
		return alternates(len(names), func(i int) string { return escape(names[i]) }), nil
	}
	return "slot" + alternates(st.Slots, func(i int) string { return strconv.Itoa(i + 1) }) + "-", nil
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func property(key, value string) string {
	return "device-property " + quoted(key) + " " + quoted(value)
}

// conf is one statement with a text.
func conf(key, value string) string { return key + " " + quoted(value) }

func define(kind, name string, lines ...string) string {
	return fmt.Sprintf("define %s %s {\n    %s\n}\n", kind, name, strings.Join(lines, "\n    "))
}

// amandaName is what a storage is called in Amanda's configuration. A name is defined without quotes there: it must not
// have odd letters, nor be one of the language's own words, such as tape or vault.
func amandaName(st configs.Storage) string {
	name := strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, st.Name)
	if name != st.Name {
		name += fmt.Sprintf("-%d", st.Index+1) // two names may have become one
	}
	return "holdfast-" + name
}

// quoted writes a text as amanda.conf wants it.
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(s) + `"`
}

// escape keeps what stands in a name from being read as a choice of several.
func escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `{`, `\{`, `}`, `\}`, `,`, `\,`).Replace(s)
}

// alternates writes n names as Amanda's list in braces.
func alternates(n int, name func(i int) string) string {
	names := make([]string, n)
	for i := range names {
		names[i] = name(i)
	}
	return "{" + strings.Join(names, ",") + "}"
}

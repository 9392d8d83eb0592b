package configs_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"holdfast/catalog"
	"holdfast/configs"
)

var update = flag.Bool("update", false, "write the golden files anew")

// prelude is what a snippet of the table needs to be a configuration, by its top-level keys.
var prelude = []struct{ key, text string }{
	{"state", "state: s\n"},
	{"storage", "storage: {v: {path: v, slots: 9, volume-size: 4MiB, label: V-%%}}\n"},
	{"dles", "dles: [{vm: a, image: i, format: raw}]\n"},
}

func completed(name string, snippet []byte) []byte {
	text := string(snippet)
	if strings.HasPrefix(name, "bare") {
		return snippet
	}
	for _, p := range prelude {
		if !strings.HasPrefix(text, p.key+":") && !strings.Contains(text, "\n"+p.key+":") {
			text += p.text
		}
	}
	return []byte(text)
}

// The text of every fault: testdata/errors.txtar holds snippets of YAML (NAME.yaml), each followed by what is said of
// it (NAME.says). What a snippet lacks to be a configuration is added below it, unless its name begins with "bare".
func TestErrors(t *testing.T) {
	const golden = "testdata/errors.txtar"
	archive, err := txtar.ParseFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	said := &txtar.Archive{Comment: archive.Comment}
	want := map[string]string{}
	for _, f := range archive.Files {
		want[f.Name] = string(f.Data)
	}
	for _, f := range archive.Files {
		name, ok := strings.CutSuffix(f.Name, ".yaml")
		if !ok {
			continue
		}
		got := says(completed(name, f.Data))
		said.Files = append(said.Files, f, txtar.File{Name: name + ".says", Data: []byte(got)})
		if diff := cmp.Diff(want[name+".says"], got); diff != "" && !*update {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if *update {
		if err := os.WriteFile(golden, txtar.Format(said), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// says gives all that Parse says of a text: faults with hints, or warnings.
func says(text []byte) string {
	c, err := configs.Parse("hf.yaml", text)
	if err == nil {
		return strings.Join(append(c.Warnings, "sound\n"), "\n")
	}
	var faults configs.Errors
	if !errors.As(err, &faults) {
		return fmt.Sprintf("not Errors: %v\n", err)
	}
	var b strings.Builder
	for _, f := range faults {
		fmt.Fprintln(&b, f)
		if f.Hint != "" {
			fmt.Fprintln(&b, "hint:", f.Hint)
		}
	}
	return b.String()
}

// A fault's excerpt is its line with a caret below the column, also beyond letters of several bytes.
func TestExcerpt(t *testing.T) {
	for _, c := range []struct{ yaml, want string }{
		{"org: é\ncolour: x\n", "   2 | colour: x\n       ^"},
		{"mailto: [é, [x], é]\n", "   1 | mailto: [é, [x], é]\n                   ^"},
		{"mail: {from: éé, colour: x}\n", "   1 | mail: {from: éé, colour: x}\n                        ^"},
		{
			"bump: {" + strings.Repeat(" ", 80) + "colour: x" + strings.Repeat(" ", 80) + "}\n",
			"   1 | " + strings.Repeat(" ", 50) + "colour: x" + strings.Repeat(" ", 41) + "\n" + strings.Repeat(" ", 57) + "^",
		},
	} {
		_, err := configs.Parse("hf.yaml", completed("", []byte(c.yaml)))
		var fault *configs.Error
		if !errors.As(err, &fault) {
			t.Errorf("%s: no fault: %v", c.yaml, err)
			continue
		}
		if diff := cmp.Diff(c.want, fault.Excerpt); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.yaml, diff)
		}
	}
}

// Defaults are filled in, and relative paths count from the directory of the file.
func TestDefaults(t *testing.T) {
	c, err := configs.Parse("/etc/holdfast/hf.yaml", completed("", []byte("mail: {smtp: 'mail.example.org:25'}\n")))
	if err != nil {
		t.Fatal(err)
	}
	bump := configs.Bump{Size: 10 * configs.MiB, Mult: 1.5, Days: 2}
	want := &configs.Config{
		Path: "/etc/holdfast/hf.yaml", Org: "holdfast", State: "/etc/holdfast/s",
		Mail:         configs.Mail{SMTP: "mail.example.org:25", TLS: configs.TLSMandatory},
		SendReportOn: configs.ReportAll, DumpCycle: 7, InParallel: 4, DumpOrder: "ttt", Bump: bump, Reserve: 30, Autoflush: true,
		Storage: map[string]configs.Storage{"v": {
			Name: "v", Device: configs.DeviceDir, Path: "/etc/holdfast/v", Slots: 9, VolumeSize: 4 * configs.MiB,
			PartSize: 1 * configs.MiB, Label: "V-%%", RunVolumes: 1, ParallelWrite: 1, TaperAlgorithm: configs.TaperFirst,
		}},
		DumpTypes: map[string]configs.DumpType{"default": {
			Name: "default", Compress: configs.CompressDefault, Strategy: configs.StrategyStandard,
			Priority: configs.PriorityMedium, DumpCycle: 7, Bump: bump, MaxLevel: 9, MaxPromote: 10000, Holding: configs.HoldingAuto,
			MaxDumps: 1, Timeout: configs.Duration(30 * time.Minute), Retries: 1, RetryDelay: configs.Duration(5 * time.Minute),
		}},
		DLEs: []configs.DLE{{VM: "a", Disk: "disk0", Image: "/etc/holdfast/i", Format: configs.FormatRaw, Type: "default"}},
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := c.MainStorage().Name; got != "v" {
		t.Errorf("main storage %q", got)
	}
}

// A dump type takes what it does not set from the one it inherits, or from `default`, and both from the top.
func TestDumpTypes(t *testing.T) {
	c, err := configs.Parse("/c/hf.yaml", []byte(`
state: s
dump-cycle: 14d
bump: {size: 5MiB}
storage: {v: {path: v, slots: 19, volume-size: 4MiB, label: V-%%}}
dump-types:
  archive: {inherit: secret, strategy: noinc, dump-cycle: 4w}
  open: {encrypt: none, bump: {percent: 20}}
  secret: {encrypt: {recipients: keys}, compress: best}
  default: {encrypt: {recipients: /all, program: /bin/age}, priority: high}
dles:
  - {vm: a, image: a, format: raw, type: archive}
  - {vm: b, image: b, format: raw, type: open}
  - {vm: c, image: c, format: raw}
`))
	if err != nil {
		t.Fatal(err)
	}
	deflt := configs.DumpType{
		Name: "default", Compress: configs.CompressDefault, Encrypt: configs.Encrypt{Recipients: "/all", Program: "/bin/age"},
		Strategy: configs.StrategyStandard, Priority: configs.PriorityHigh, DumpCycle: 14,
		Bump: configs.Bump{Size: 5 * configs.MiB, Mult: 1.5, Days: 2}, MaxLevel: 9, MaxPromote: 10000, Holding: configs.HoldingAuto,
		MaxDumps: 1, Timeout: configs.Duration(30 * time.Minute), Retries: 1, RetryDelay: configs.Duration(5 * time.Minute),
	}
	archive := deflt
	archive.Name, archive.Compress, archive.Encrypt.Recipients = "archive", configs.CompressBest, "/c/keys"
	archive.Strategy, archive.DumpCycle = configs.StrategyNoInc, 28
	open := deflt
	open.Name, open.Encrypt, open.Bump.Percent = "open", configs.Encrypt{}, 20
	for i, want := range []configs.DumpType{archive, open, deflt} {
		if diff := cmp.Diff(want, c.TypeOf(c.DLEs[i])); diff != "" {
			t.Errorf("%s (-want +got):\n%s", want.Name, diff)
		}
	}
}

// A base may be named by its VM alone, if that has one disk.
func TestBase(t *testing.T) {
	c, err := configs.Parse("/c/hf.yaml", completed("", []byte(`
dles:
  - {vm: clone, image: a, format: qcow2, base: golden}
  - {vm: golden, image: b, format: qcow2, base: "first:sys tem"}
  - {vm: first, disk: "sys tem", image: c, format: raw}
`)))
	if err != nil {
		t.Fatal(err)
	}
	want := []*catalog.DLE{{VM: "golden", Disk: "disk0"}, {VM: "first", Disk: "sys tem"}, nil}
	for i, d := range c.DLEs {
		if diff := cmp.Diff(want[i], d.Base); diff != "" {
			t.Errorf("%s (-want +got):\n%s", d.Name(), diff)
		}
	}
}

// Load names the file as it was called in faults, and resolves paths from where it lies.
func TestLoad(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.WriteFile("hf.yaml", completed("", nil), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := configs.Load("hf.yaml", os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(dir, "s"); c.State != want {
		t.Errorf("state %s, want %s", c.State, want)
	}
	if _, err := configs.Load("gone.yaml", os.ReadFile); !errors.Is(err, os.ErrNotExist) || err.Error() != "configuration: open gone.yaml: no such file or directory" {
		t.Errorf("missing file: %v", err)
	}
}

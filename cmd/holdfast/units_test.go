package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"holdfast/internal/testtools"
)

// unit is a unit of systemd: "Section.Key" and its values.
type unit map[string][]string

var unitLine = regexp.MustCompile(`^([A-Z][A-Za-z]*)=(\S.*)$`)

func parseUnit(t *testing.T, path string) unit {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	u, section := unit{}, ""
	for n, line := range strings.Split(string(text), "\n") {
		m := unitLine.FindStringSubmatch(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[' && strings.HasSuffix(line, "]"):
			section = strings.Trim(line, "[]")
		case m == nil || section == "":
			t.Fatalf("%s:%d: %q", path, n+1, line)
		default:
			u[section+"."+m[1]] = append(u[section+"."+m[1]], m[2])
		}
	}
	return u
}

// The units say what the daemon needs to be said of it, and call commands that are there.
func TestUnits(t *testing.T) {
	program := (&app{}).command()
	for file, want := range map[string]map[string]string{
		"holdfast.service": {
			"Service.Type": "notify", "Service.NotifyAccess": "main", "Service.KillMode": "mixed", "Service.ExecReload": "kill -HUP $MAINPID",
			"Service.WatchdogSec": "2min", "Service.Restart": "on-failure", "Install.WantedBy": "multi-user.target",
			"Service.ExecStart": `"/usr/local/bin/holdfast" daemon`,
		},
		"holdfast-run.service": {
			"Service.Type": "oneshot", "Service.KillMode": "mixed", "Service.SuccessExitStatus": "2", "Service.ExecStart": `"/usr/local/bin/holdfast" run`,
		},
		"holdfast-run.timer": {"Timer.Persistent": "true", "Timer.OnCalendar": "*-*-* 01:00:00", "Install.WantedBy": "timers.target"},
	} {
		u := parseUnit(t, filepath.Join("../../configs/systemd", file))
		for key, value := range want {
			if got := strings.Join(u[key], "|"); got != value {
				t.Errorf("%s: %s is %q, want %q", file, key, got, value)
			}
		}
		for _, call := range u["Service.ExecStart"] {
			words := strings.Fields(call)
			if ordered, err := reorder(program, append([]string{"holdfast"}, words[1:]...)); err != nil || program.Command(ordered[1]) == nil {
				t.Errorf("%s: %s: %v", file, call, err)
			}
		}
	}
}

// systemd itself takes the units as they are installed.
func TestUnitsVerify(t *testing.T) {
	testtools.Need(t, "make", "install", "systemd-analyze")
	program, err := exec.LookPath("holdfast")
	if err != nil {
		t.Fatal(err)
	}
	prefix := filepath.Join(t.TempDir(), "a prefix")
	if out, err := exec.Command("make", "-C", "../..", "install", "PROGRAM="+program, "PREFIX="+prefix).CombinedOutput(); err != nil {
		t.Fatalf("make install: %v\n%s", err, out)
	}
	units, err := filepath.Glob(filepath.Join(prefix, "lib/systemd/system/*"))
	if err != nil || len(units) != 3 {
		t.Fatalf("installed: %q, %v", units, err)
	}
	cmd := exec.Command("systemd-analyze", append([]string{"verify", "--man=no"}, units...)...)
	if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), prefix) {
		t.Errorf("%v\n%s", err, out)
	}
}

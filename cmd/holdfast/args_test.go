package main

import (
	"strings"
	"testing"
)

// Flags may stand anywhere; what follows -- is a name; a flag that is also the program's goes to the innermost command
// that has it.
func TestReorder(t *testing.T) {
	for _, c := range []struct{ call, want string }{
		{"", ""},
		{"run", "run"},
		{"run web01 --dry-run", "run --dry-run -- web01"},
		{"run --dry-run web01 db01", "run --dry-run -- web01 db01"},
		{"run web01 --config f", "--config f run -- web01"},
		{"-c=f run", "-c=f run"},
		{"restore web01 disk0 --to - --force", "restore --to - --force -- web01 disk0"},
		{"restore --to=--odd web01", "restore --to=--odd -- web01"},
		{"restore --level -1 web01", "restore --level -1 -- web01"},
		{"restore --to out -- --force", "restore --to out -- --force"},
		{"dle force run", "dle force -- run"},
		{"dle run", "dle -- run"},
		{"nonsense run", "-- nonsense run"},
		{"run web01 --help", "run --help"},
		{"--help run web01", "run --help"},
		{"-h", "--help"},
		{"dle --help --config f", "dle --help"},
		{"dle nonsense --help", "dle -- nonsense"},
		{"--version", "version"},
		{"run help", "run -- help"},
	} {
		got, err := reorder((&app{}).command(), append([]string{"holdfast"}, strings.Fields(c.call)...))
		if want := strings.TrimSpace("holdfast " + c.want); err != nil || strings.Join(got, " ") != want {
			t.Errorf("reorder %q: %q, %v, want %q", c.call, got, err, want)
		}
	}
}

package freeze_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The hook that docs/freeze.md hands out does what the text says: all in order; one that fails ends the freeze and has the
// others undo theirs.
func TestDocumentedHook(t *testing.T) {
	text, err := os.ReadFile("../../docs/freeze.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```sh\n")
	script, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("no script in docs/freeze.md")
	}
	dir := t.TempDir()
	calls := filepath.Join(dir, "calls")
	script = strings.NewReplacer("/etc/qemu", dir, "/var/log", dir).Replace(script)
	main := put(t, filepath.Join(dir, "fsfreeze-hook"), script)
	put(t, filepath.Join(dir, "fsfreeze-hook.d", "a"), "#!/bin/sh\necho a $1 >>"+calls)
	for _, c := range []struct{ hook, call, want string }{
		{"exit 0", "freeze", "a freeze,b freeze,"},
		{"exit 0", "thaw", "a thaw,b thaw,"},
		{"exit 5", "freeze", "a freeze,b freeze,a thaw,b thaw,failed"},
		{"exit 5", "thaw", "a thaw,b thaw,"},
	} {
		put(t, filepath.Join(dir, "fsfreeze-hook.d", "b"), "#!/bin/sh\necho b $1 >>"+calls+"\n"+c.hook)
		err := exec.Command(main, c.call).Run()
		text, readErr := os.ReadFile(calls)
		if readErr != nil {
			t.Fatal(readErr)
		}
		got := strings.ReplaceAll(string(text), "\n", ",")
		if err != nil {
			got += "failed"
		}
		if got != c.want {
			t.Errorf("%s with a hook that ends with %s: %s, want %s", c.call, c.hook, got, c.want)
		}
		if err := os.Remove(calls); err != nil {
			t.Fatal(err)
		}
	}
}

// put writes a program.
func put(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return name
}

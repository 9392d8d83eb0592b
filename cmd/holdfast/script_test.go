package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"holdfast/internal/testtools"
)

// TestScripts runs testdata/script: every command and every error text, as a user meets them. Each script has in
// images/ a raw image and a qcow2 image with an overlay, and these commands beside testscript's own:
//
//	exits CODE COMMAND ...   runs a command that must end with this exit status
//	listing FILE DIR ...     writes the names, sizes and digests of all files in directories to FILE
//	flip FILE OFFSET         flips a bit
//	cut FILE BYTES           sets the size of a file
//	json PAGE                stdout is JSON, and docs/PAGE names each of its keys
//	lock FILE                opens a raw image in qemu, until the script ends
func TestScripts(t *testing.T) {
	testtools.Need(t, "qemu-img", "qemu-io", "script")
	images := makeImages(t)
	docs, err := filepath.Abs("../../docs")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("TZ", "UTC")
			env.Setenv("DOCS", docs)
			env.Setenv("HOLDFAST_CONFIG", filepath.Join(env.WorkDir, "holdfast.yaml"))
			return os.CopyFS(filepath.Join(env.WorkDir, "images"), os.DirFS(images))
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits, "listing": listing, "flip": flip, "cut": cut, "json": jsonKeys, "lock": lock,
		},
	})
}

// makeImages makes the images that every script begins with.
func makeImages(t *testing.T) string {
	dir := t.TempDir()
	for i, name := range []string{"db01.raw", "web01"} {
		disk := make([]byte, 4<<20)
		rand.NewChaCha8([32]byte{byte(i)}).Read(disk[:640<<10])
		if err := os.WriteFile(filepath.Join(dir, name), disk, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"convert", "-f", "raw", "-O", "qcow2", "web01", "web01.qcow2"},
		{"create", "-q", "-f", "qcow2", "-b", "web01.qcow2", "-F", "qcow2", "web02.qcow2"},
	} {
		cmd := exec.Command("qemu-img", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("qemu-img %v: %v\n%s", args, err, out)
		}
	}
	return dir
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ...")
	}
	var code int
	var failed *exec.ExitError
	switch err := ts.Exec(args[1], args[2:]...); {
	case errors.As(err, &failed):
		code = failed.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit status %d, want %s", code, args[0])
	}
}

func listing(ts *testscript.TestScript, neg bool, args []string) {
	var out bytes.Buffer
	for _, dir := range args[1:] {
		ts.Check(filepath.WalkDir(ts.MkAbs(dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				fmt.Fprintln(&out, path, d.Type(), err)
				return nil
			}
			data, err := os.ReadFile(path)
			fmt.Fprintf(&out, "%s %d %x %v\n", path, len(data), sha256.Sum256(data), err)
			return nil
		}))
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), out.Bytes(), 0o600))
}

func flip(ts *testscript.TestScript, neg bool, args []string) {
	path := ts.MkAbs(args[0])
	data, err := os.ReadFile(path)
	ts.Check(err)
	offset, err := strconv.Atoi(args[1])
	ts.Check(err)
	data[offset] ^= 4
	ts.Check(os.WriteFile(path, data, 0o600))
}

func cut(ts *testscript.TestScript, neg bool, args []string) {
	size, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	ts.Check(os.Truncate(ts.MkAbs(args[0]), size))
}

func lock(ts *testscript.TestScript, neg bool, args []string) {
	cmd := exec.Command("qemu-io", "-f", "raw", ts.MkAbs(args[0]))
	commands, err := cmd.StdinPipe()
	ts.Check(err)
	answers, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Defer(func() {
		_ = commands.Close() // which ends it
		_ = cmd.Wait()
	})
	_, err = fmt.Fprintln(commands, "read 0 512")
	ts.Check(err)
	_, err = answers.Read(make([]byte, 1)) // it has opened the image by now
	ts.Check(err)
}

func jsonKeys(ts *testscript.TestScript, neg bool, args []string) {
	var answer any
	if err := json.Unmarshal([]byte(ts.ReadFile("stdout")), &answer); err != nil {
		ts.Fatalf("stdout is not JSON: %v", err)
	}
	page, err := os.ReadFile(filepath.Join(ts.Getenv("DOCS"), args[0]))
	ts.Check(err)
	documented := map[string]bool{}
	for _, word := range regexp.MustCompile("`([a-z_]+)`").FindAllSubmatch(page, -1) {
		documented[string(word[1])] = true
	}
	eachKey(answer, func(key string) {
		if !documented[key] {
			ts.Fatalf("the key %s is not in docs/%s", key, args[0])
		}
	})
}

func eachKey(v any, do func(string)) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			do(key)
			eachKey(value, do)
		}
	case []any:
		for _, value := range v {
			eachKey(value, do)
		}
	}
}

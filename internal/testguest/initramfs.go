package testguest

import (
	"debug/elf"
	_ "embed"
	"errors"
	"os"
	"path"
	"path/filepath"
	"slices"
	"testing"
)

// The guest's first process, the hook its agent calls, and what it offers to Run as a command.
//
//go:embed init.sh
var initScript []byte

//go:embed hook.sh
var hookScript []byte

//go:embed agent.sh
var agentScript []byte

// modules in the order in which they can be inserted: virtio before virtio_ring fails.
var modules = []string{"virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_blk", "virtio_console"}

// libraryDirs are where Debian keeps shared libraries.
var libraryDirs = []string{"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64"}

// initramfs builds the guest's root: busybox, the modules, the agent and its libraries, and the scripts.
func initramfs(t testing.TB, parts string) []byte {
	t.Helper()
	var a archive
	a.dirs("bin", "dev", "etc", "lib", "lib64", "modules", "mnt", "proc", "run", "sys", "tmp", "usr", "usr/sbin", "var", "var/run")
	a.add("bin/busybox", typeFile|0o755, read(t, filepath.Join(parts, "busybox")))
	a.add("bin/sh", typeLink|0o777, []byte("busybox"))
	agent := filepath.Join(parts, "qemu-ga")
	a.add("bin/qemu-ga", typeFile|0o755, read(t, agent))
	for _, library := range libraries(t, agent) {
		a.add(path.Join("lib", filepath.Base(library)), typeFile|0o755, read(t, library))
	}
	const loader = "ld-linux-x86-64.so.2"
	a.add("lib64/"+loader, typeLink|0o777, []byte("../lib/"+loader))
	for _, name := range modules {
		a.add("modules/"+name+".ko", typeFile|0o644, read(t, filepath.Join(parts, name+".ko")))
	}
	a.add("init", typeFile|0o755, initScript)
	a.add("bin/fsfreeze-hook", typeFile|0o755, hookScript)
	a.add("bin/agent", typeFile|0o755, agentScript)
	return a.bytes()
}

// libraries lists the shared libraries that a program needs, and that those need, by their files.
func libraries(t testing.TB, program string) []string {
	t.Helper()
	var found, names []string
	for todo := []string{program}; len(todo) > 0; todo = todo[1:] {
		file, err := elf.Open(todo[0])
		if err != nil {
			t.Fatal(err)
		}
		wanted, err := file.ImportedLibraries()
		if err := errors.Join(err, file.Close()); err != nil {
			t.Fatal(err)
		}
		for _, name := range wanted {
			if slices.Contains(names, name) {
				continue
			}
			names = append(names, name)
			where := library(t, name)
			found, todo = append(found, where), append(todo, where)
		}
	}
	return found
}

func library(t testing.TB, name string) string {
	t.Helper()
	for _, dir := range libraryDirs {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return filepath.Join(dir, name)
		}
	}
	t.Fatalf("library %s of the agent is not installed (scripts/tools guest installs it)", name)
	return ""
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

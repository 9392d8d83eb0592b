package testguest

import (
	"bytes"
	"fmt"
)

// archive is an initramfs in the making: cpio's "newc" format, as the kernel's Documentation/driver-api/early-userspace/
// buffer-format has it. It stays uncompressed, which an emulated processor unpacks fastest.
type archive struct {
	out   bytes.Buffer
	inode int
}

// Types of entries, as in the mode of a file.
const (
	typeDir  = 0o040000
	typeFile = 0o100000
	typeLink = 0o120000
)

// add puts an entry behind the others; the directory it lies in must have been added. The content of a link is its target.
func (a *archive) add(name string, mode int, content []byte) {
	a.inode++
	fmt.Fprintf(&a.out, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		a.inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name)+1, 0, name)
	a.pad()
	a.out.Write(content)
	a.pad()
}

func (a *archive) pad() {
	for a.out.Len()%4 != 0 {
		a.out.WriteByte(0)
	}
}

func (a *archive) dirs(names ...string) {
	for _, name := range names {
		a.add(name, typeDir|0o755, nil)
	}
}

func (a *archive) bytes() []byte {
	a.add("TRAILER!!!", 0, nil)
	return a.out.Bytes()
}

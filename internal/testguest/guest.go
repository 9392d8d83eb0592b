// Package testguest runs a small virtual machine for tests: QEMU with an emulated processor (TCG by name: a device node
// for KVM proves nothing), Debian's cloud kernel, busybox and the real guest agent, disks with ext4 that are written to all
// the time, and a freeze hook that can be made to fail or to dawdle. It answers within seconds.
//
// Its one invariant: what it starts has ended when the test has.
package testguest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/internal/testtools"
)

// bootMax bounds the start of a guest on a busy machine; an idle one needs three seconds.
const bootMax = 2 * time.Minute

// commandLine is the kernel's. On a busy machine the emulated timer may be too late for the kernel's check of it, which then
// panics: there is nothing to check.
const commandLine = "console=ttyS0 quiet panic=-1 no_timer_check"

// Disk is a disk of a guest.
type Disk struct {
	// Node is the name of its block node; "disk0" and so on when empty. The device is called Node + "-dev", the node of
	// its file Node + "-file". The guest sees the disks as vda, vdb and so on.
	Node string
	// Format is "qcow2" (when empty) or "raw".
	Format string
	// Path of an image that is there; when empty one is made.
	Path string
	// SizeBytes of an image that is made; 256 MiB when it is zero.
	SizeBytes int64
	// Empty: the image that is made holds no file system, so nobody in the guest writes to it.
	Empty bool
}

// Options say what guest is wanted. The zero value is one with one disk and one monitor.
type Options struct {
	Disks []Disk
	// Monitors is how many QMP sockets there are; one when it is zero.
	Monitors int
	// Args are further arguments of QEMU.
	Args []string
}

// Guest is a running guest.
type Guest struct {
	// Dir holds its sockets, images and logs.
	Dir string
	// QMP are the sockets of its monitors, Agent is the one of its agent.
	QMP   []string
	Agent string
	Disks []Disk
	// Process is QEMU's.
	Process *os.Process

	ended   chan struct{}
	control net.Conn
	answers *bufio.Reader
}

// Directory is where scripts/tools puts what the guest is made of.
func Directory() (string, error) {
	cache, err := os.UserCacheDir()
	return filepath.Join(cache, "holdfast-tools", "guest-1"), err
}

// Start runs a guest until the test ends and returns when it is up: its disks are mounted and written to, its agent runs.
// Where the machine lacks what it takes, the test is skipped, and fails where tools are required.
func Start(t testing.TB, o Options) *Guest {
	t.Helper()
	testtools.Need(t, "qemu-system-x86_64", "qemu-img", "mke2fs")
	parts, err := Directory()
	if err == nil {
		_, err = os.Stat(parts)
	}
	if err != nil {
		testtools.Lacking(t, fmt.Sprintf("no guest for tests (scripts/tools guest fetches its parts): %v", err))
	}
	g := newGuest(t, o.Monitors)
	g.Agent = filepath.Join(g.Dir, "agent")
	if len(o.Disks) == 0 {
		o.Disks = []Disk{{}}
	}
	for i, d := range o.Disks {
		g.Disks = append(g.Disks, g.makeDisk(t, d, i))
	}
	root := filepath.Join(g.Dir, "initramfs")
	if err := os.WriteFile(root, initramfs(t, parts), 0o600); err != nil {
		t.Fatal(err)
	}
	g.run(t, append(g.args(parts, root), o.Args...))
	g.open(t)
	return g
}

// StartBare runs a QEMU without a machine until the test ends: block nodes, bitmaps, jobs and exports work, and there is no
// guest. It takes a moment only.
func StartBare(t testing.TB, args ...string) *Guest {
	t.Helper()
	testtools.Need(t, "qemu-system-x86_64")
	g := newGuest(t, 1)
	g.run(t, append(append([]string{"-no-user-config", "-nodefaults", "-display", "none", "-machine", "none", "-S"}, g.monitors()...), args...))
	g.Await(t, "QEMU has no monitor: "+g.log(), func() bool {
		conn, err := net.Dial("unix", g.QMP[0])
		return err == nil && conn.Close() == nil
	})
	return g
}

func newGuest(t testing.TB, monitors int) *Guest {
	t.Helper()
	g := &Guest{Dir: shortDir(t), ended: make(chan struct{})}
	for i := range max(1, monitors) {
		g.QMP = append(g.QMP, filepath.Join(g.Dir, "qmp"+strconv.Itoa(i)))
	}
	return g
}

// shortDir is a directory of the test whose name leaves room for sockets in it: theirs end at 107 bytes.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "guest")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// args are QEMU's.
func (g *Guest) args(parts, root string) []string {
	args := []string{
		"-no-user-config", "-nodefaults", "-display", "none", "-machine", "q35", "-accel", "tcg", "-cpu", "max", "-m", "256",
		"-kernel", filepath.Join(parts, "vmlinuz"), "-initrd", root, "-append", commandLine,
		"-serial", "file:" + filepath.Join(g.Dir, "console"), "-no-reboot",
		"-device", "virtio-serial-pci",
		"-chardev", "socket,id=agent,server=on,wait=off,path=" + g.Agent,
		"-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
		"-chardev", "socket,id=control,server=on,wait=off,path=" + g.controlPath(),
		"-device", "virtserialport,chardev=control,name=holdfast.control",
	}
	args = append(args, g.monitors()...)
	for _, d := range g.Disks {
		args = append(args,
			"-blockdev", "driver=file,node-name="+d.Node+"-file,filename="+d.Path,
			"-blockdev", "driver="+d.Format+",node-name="+d.Node+",file="+d.Node+"-file",
			"-device", "virtio-blk-pci,id="+d.Node+"-dev,drive="+d.Node)
	}
	return args
}

func (g *Guest) monitors() []string {
	var args []string
	for i, path := range g.QMP {
		id := "monitor" + strconv.Itoa(i)
		args = append(args, "-chardev", "socket,id="+id+",server=on,wait=off,path="+path, "-mon", "mode=control,chardev="+id)
	}
	return args
}

func (g *Guest) controlPath() string { return filepath.Join(g.Dir, "control") }

// run starts QEMU and sees to its end.
func (g *Guest) run(t testing.TB, args []string) {
	t.Helper()
	said, err := os.Create(filepath.Join(g.Dir, "qemu.log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("qemu-system-x86_64", args...)
	cmd.Stdout, cmd.Stderr = said, said
	if err := errors.Join(cmd.Start(), said.Close()); err != nil {
		t.Fatal(err)
	}
	g.Process = cmd.Process
	go func() {
		_ = cmd.Wait() // it is killed
		close(g.ended)
	}()
	t.Cleanup(g.Kill)
}

// Kill ends QEMU as a power cut would, and returns when it is gone.
func (g *Guest) Kill() {
	_ = g.Process.Kill() // it may have ended
	<-g.ended
}

// Ended is closed when QEMU has ended.
func (g *Guest) Ended() <-chan struct{} { return g.ended }

// open connects with the control port and waits until the guest says that it is up.
func (g *Guest) open(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), bootMax)
	defer cancel()
	for g.control == nil {
		select {
		case <-g.ended:
			t.Fatalf("the guest ended at once: %s", g.log())
		case <-ctx.Done():
			t.Fatalf("QEMU has no socket after %v: %s", bootMax, g.log())
		default:
		}
		g.control, _ = net.Dial("unix", g.controlPath()) // until it is there
	}
	t.Cleanup(func() { _ = g.control.Close() })
	g.answers = bufio.NewReader(g.control)
	if _, status, err := g.answer(); err != nil || status != "ready" {
		t.Fatalf("start of the guest: %q, %v: %s", status, err, g.log())
	}
}

// log is what QEMU and the guest's kernel said.
func (g *Guest) log() string {
	var all bytes.Buffer
	for _, name := range []string{"qemu.log", "console"} {
		text, _ := os.ReadFile(filepath.Join(g.Dir, name)) // what there is of it
		all.Write(text)
	}
	return all.String()
}

// Run has the guest do a shell command, and gives its output. A status other than 0 fails the test. It works while the
// disks are frozen, too: the guest's root is in memory.
func (g *Guest) Run(t testing.TB, command string) string {
	t.Helper()
	if strings.Contains(command, "\n") {
		t.Fatalf("a command for the guest has one line: %q", command)
	}
	if _, err := io.WriteString(g.control, command+"\n"); err != nil {
		t.Fatal(err)
	}
	output, status, err := g.answer()
	if err != nil || status != "0" {
		t.Fatalf("%s in the guest: status %q, %v: %s", command, status, err, output)
	}
	return strings.TrimSpace(output)
}

// answer reads to the line that begins with a zero byte.
func (g *Guest) answer() (output, status string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), bootMax)
	defer cancel()
	deadline, _ := ctx.Deadline() // it has one
	if err := g.control.SetReadDeadline(deadline); err != nil {
		return "", "", err
	}
	output, err = g.answers.ReadString(0)
	if err != nil {
		return output, "", err
	}
	status, err = g.answers.ReadString('\n')
	return strings.TrimSuffix(output, "\x00"), strings.TrimSpace(status), err
}

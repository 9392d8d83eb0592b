// Package hooks runs the administrator's programs before and after checks, estimates, backups and restores.
//
// Its one invariant: a post hook runs when its pre hook ran, whatever came between. A pre hook that has a post hook is
// journalled before it is started, and forgotten when the post hook has ended; what a killed run leaves in the journal, Reap
// runs. A post hook without a pre hook undoes nothing, and runs whenever the moment is over, but not for a run that was killed.
//
// A hook is a list of words and never goes through a shell. It gets an environment of its own and no standard input; what it
// writes is kept line by line, as much as outputLines holds. It is the leader of a process group, which is ended as a whole
// when it takes too long.
package hooks

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"holdfast/catalog"
	"holdfast/configs"
	"holdfast/internal/vfs"
)

// Journal is where pre hooks are noted before they run; see sqlstore.Journal.
type Journal interface {
	Add(ctx context.Context, r catalog.Resource) error
	Done(ctx context.Context, id string) error
	Open(ctx context.Context, kind string) ([]catalog.Resource, error)
}

// VetoStatus is the exit status by which a pre hook says that what it was run before shall not be done now, and that this is
// no failure: EX_TEMPFAIL of sysexits.h, which no shell and no signal gives by chance. The last line of its output is the reason.
const VetoStatus = 75

// defaultGrace is how long a hook may go on after SIGTERM before SIGKILL follows.
const defaultGrace = 10 * time.Second

// Runner runs hooks. It may be used by many goroutines, as far as Record may.
type Runner struct {
	Config *configs.Config
	// FS is where the programs lie: they are looked at before they are run.
	FS      vfs.FS
	Journal Journal
	// Record is told of each hook that was run, or should have been. It is called for several at a time.
	Record func(ctx context.Context, f catalog.HookFinished) error
	Now    func() time.Time
	// Env is what every hook gets beside its own variables, as NAME=VALUE: PATH and the like, and nothing secret.
	Env []string
	// Owner names the process for others that reap; empty for one that holds the lock of runs, of which there is only one.
	Owner string
	// Grace is the time between SIGTERM and SIGKILL; 0: 10 s.
	Grace time.Duration
}

// Subject is what hooks are told of what they are run for. Fields without a meaning for it stay empty.
type Subject struct {
	Level  configs.HookLevel
	Moment configs.HookMoment
	// DLE has no disk for a host, and is empty for a run.
	DLE catalog.DLE
	// Stamp is that of the run; of a restore that of the dump.
	Stamp catalog.Stamp
	// Dump is the level of the dump; nil while it is not known.
	Dump *catalog.Level
	// Entry is the DLE's in the disk list; it is looked up there where it is empty.
	Entry configs.DLE `json:"-"`
	// Image is what is dumped, Target where a restore goes.
	Image, Target string
}

// String names what hooks are run for: a DLE, a VM, or the run.
func (s Subject) String() string {
	switch s.Level {
	case configs.HookHost:
		return s.DLE.VM
	case configs.HookDLE:
		return s.DLE.String()
	}
	return "the run"
}

// Status is what post hooks are told of how it went.
type Status string

// The statuses, the better one first. Killed is told by Reap.
const (
	StatusOK        Status = "ok"
	StatusVetoed    Status = "vetoed" // by a pre hook
	StatusStrange   Status = "strange"
	StatusFailed    Status = "failed"
	StatusCancelled Status = "cancelled"
	StatusKilled    Status = "killed"
)

// Result is how what lies between the hooks went.
type Result struct {
	Status Status
	Reason string // why it is not ok
}

var worse = map[Status]int{StatusVetoed: 1, StatusStrange: 2, StatusFailed: 3, StatusCancelled: 4, StatusKilled: 5}

// Worst gives the worse of two results, the first of equals.
func (r Result) Worst(other Result) Result {
	if worse[other.Status] > worse[r.Status] || r.Status == "" {
		return other
	}
	return r
}

// environment gives all that a hook is told. r is nil before.
func (r *Runner) environment(s Subject, e configs.HookEvent, hook configs.Hook, after *Result) []string {
	env := append([]string{}, r.Env...)
	set := func(name, value string) {
		if value != "" {
			env = append(env, name+"="+strings.ReplaceAll(value, "\x00", ""))
		}
	}
	set("HOLDFAST_EVENT", string(e))
	set("HOLDFAST_HOOK", hook.Title())
	set("HOLDFAST_CONFIG", r.Config.Path)
	set("HOLDFAST_ORG", r.Config.Org)
	set("HOLDFAST_STAMP", string(s.Stamp))
	set("HOLDFAST_VM", s.DLE.VM)
	set("HOLDFAST_DISK", s.DLE.Disk)
	if s.Dump != nil {
		set("HOLDFAST_LEVEL", fmt.Sprint(int(*s.Dump)))
	}
	set("HOLDFAST_IMAGE", s.Image)
	set("HOLDFAST_TARGET", s.Target)
	if after != nil {
		set("HOLDFAST_STATUS", string(after.Status))
		set("HOLDFAST_REASON", oneLine(after.Reason))
	}
	return env
}

// key tells hooks of a configuration apart, also after it was written anew.
func key(h configs.Hook) string {
	sum := sha256.Sum256([]byte(strings.Join(append([]string{h.Title()}, h.Command...), "\x00")))
	return hex.EncodeToString(sum[:8])
}

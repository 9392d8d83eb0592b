// Package run carries a plan out: it dumps, holds, writes to volumes, records and reports.
//
// Its one invariant is the durable order: write, sync the file, sync the directory, record in the catalog, only then
// release what it was made from. A run may be killed at any moment and started again: what the catalog calls done is
// on the media, and what a crash left lying about is put right at the start of the next run.
package run

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"filippo.io/age"

	"holdfast/catalog"
	"holdfast/catalog/sqlstore"
	"holdfast/configs"
	"holdfast/dumpers"
	"holdfast/internal/vfs"
	"holdfast/reports"
	"holdfast/scheduler/hooks"
	"holdfast/scheduler/run/taping"
	"holdfast/vtape/holding"
)

// Night is everything a run works with. It can be used for one run after another, not for two at once.
type Night struct {
	Config *configs.Config
	Store  *sqlstore.Store
	FS     vfs.FS
	// Source gives the source of a DLE.
	Source func(configs.DLE) (dumpers.Source, error)
	// Recipients reads a file of age recipients.
	Recipients func(path string) ([]age.Recipient, error)
	// Now is the clock; the run's stamp and the planner's calendar come from it.
	Now func() time.Time
	// Mail sends the report; nil for none.
	Mail func(ctx context.Context, subject, body string) error
	// Host and Version stand in the report; PID tells others whether the run is alive.
	Host, Version string
	PID           int
	// MediaNote is told what is amiss with media though the work goes on; see Opener.Note. Nil: nobody is told.
	MediaNote func(text string)
	// Mounts calls the mount commands of storages; nil: they are not called.
	Mounts *Mounts
	// Hooks is what the administrator's hooks need.
	Hooks HookProcess
	// Workers is how many cores one dump may use; 0 for all.
	Workers int
}

// The commands a run is started by.
const (
	CommandRun   = "run"
	CommandFlush = "flush"
	CommandVault = "vault"
)

// Options are what the administrator says of one run.
type Options struct {
	// Command is one of the above. A vault run makes copies to vaults and nothing else; the others make those that are due, too.
	Command string
	// DLEs to dump; none for all.
	DLEs []catalog.DLE
	// NoTaper leaves the dumps on the holding disk.
	NoTaper bool
	// Vault says what is copied to vaults.
	Vault VaultOptions

	estimating *estimating
}

// ErrClock: the time given lies before the latest run in the catalog.
var ErrClock = errors.New("time lies before the latest run")

// Run does one night's work and gives its report. The error is for what kept it from being a run at all; failures
// of single dumps are in the report and in its exit status.
func (n *Night) Run(ctx context.Context, o Options) (reports.Report, error) {
	s, err := n.start(ctx, o)
	if err != nil {
		return reports.Report{}, err
	}
	err = s.work(ctx)
	return s.finish(ctx, err)
}

// session is one run on its way.
type session struct {
	*Night
	options Options
	stamp   catalog.Stamp
	started time.Time
	holding *holding.Holding
	maps    MapStore
	known   knownDumps
	// storages are the direct ones of this run, the main one first; writers write to them, in the same order.
	storages []configs.Storage
	writers  []*taping.Writer
	// vaults are the writers of those vaults that something was due to.
	vaults []*taping.Writer
	// labels is held while a new label is given.
	labels   sync.Mutex
	held     *heldDumps
	degraded degradation
	// tell takes the events of what is no run, but puts right what runs have left; nil: they are recorded.
	tell func(catalog.EventBody)
	// remaking is held while a block map is made anew.
	remaking sync.Mutex
	// hooks runs those of the run; around and hosts are its own and its hosts', those of backups. vetoed is set when the run's own
	// hook has vetoed all dumps.
	hooks  *hooks.Runner
	around *hooks.Scope
	hosts  *hooks.Hosts
	vetoed bool
}

// start records the run: from here on others see it.
func (n *Night) start(ctx context.Context, o Options) (*session, error) {
	started := n.Now()
	last, err := n.Store.LastStamp(ctx)
	if err != nil {
		return nil, err
	}
	stamp := catalog.NewStamp(started)
	if stamp <= last {
		// Two runs within a second, or the hour that comes twice in autumn: the stamp goes on from the last one.
		at := last.Time(started.Location())
		if at.Sub(started) > 2*time.Hour {
			return nil, fmt.Errorf("run at %s: %w, %s", stamp, ErrClock, last)
		}
		stamp = catalog.NewStamp(at.Add(time.Second))
	}
	s := &session{Night: n, options: o, stamp: stamp, started: started, held: newHeldDumps()}
	s.degraded.admitted = map[catalog.DLE]int64{}
	s.holding = openHolding(n.FS, n.Config)
	s.maps = n.Maps()
	s.hooks = n.hookRunner(stamp, "", s.recordHook)
	s.around = s.hooks.Scope(s.subject(configs.HookRun, configs.HookBackup))
	run := catalog.Run{Stamp: stamp, Command: o.Command, Started: started, PID: n.PID}
	if err := n.Store.StartRun(ctx, run); err != nil {
		return nil, err
	}
	return s, s.event(ctx, catalog.RunStarted{
		Host: n.Host, Org: n.Config.Org, Config: n.Config.Path, Version: n.Version, Command: o.Command,
	})
}

// work is the night between its first event and its last.
func (s *session) work(ctx context.Context) error {
	s.storages = s.ChooseStorages(ctx)
	if err := s.reap(ctx); err != nil {
		return fmt.Errorf("clean up after an earlier run: %w", err)
	}
	backlogBytes, err := s.startWriters(ctx)
	if err != nil {
		return err
	}
	err = s.fillStorages(ctx, backlogBytes)
	if err == nil {
		err = s.vault(ctx) // before the direct storages get their catalog records, which tell of these copies, too
	}
	if err := errors.Join(err, s.closeWriters(ctx)); err != nil {
		return err
	}
	return s.erase(ctx)
}

// fillStorages makes the dumps, and waits until the writers have done what they can.
func (s *session) fillStorages(ctx context.Context, backlogBytes int64) error {
	if s.options.Command == CommandRun {
		plan, err := s.plan(ctx, backlogBytes)
		if err != nil {
			return err
		}
		if err := s.backup(ctx, plan); err != nil {
			return err
		}
	}
	for _, w := range s.writers {
		w.Settle()
	}
	return s.catchUp(ctx)
}

// event records what happened. It is written also when the run is being cancelled: the report must tell.
func (s *session) event(ctx context.Context, bodies ...catalog.EventBody) error {
	if s.tell != nil {
		for _, b := range bodies {
			s.tell(b)
		}
		return nil
	}
	return s.Store.AddEvents(context.WithoutCancel(ctx), s.stamp, s.Now(), bodies...)
}

func (s *session) note(ctx context.Context, program, format string, args ...any) error {
	return s.event(ctx, catalog.Note{Program: program, Text: fmt.Sprintf(format, args...)})
}

// Maps gives the block maps in the state directory.
func (n *Night) Maps() MapStore {
	return MapStore{fs: n.FS, dir: filepath.Join(n.Config.State, "maps")}
}

func openHolding(fsys vfs.FS, c *configs.Config) *holding.Holding {
	var o holding.Options
	for _, h := range c.Holding {
		o.Dirs = append(o.Dirs, holding.Dir{Path: h.Dir, UseBytes: int64(h.Use)})
		o.ChunkBytes = int64(h.Chunk)
	}
	return holding.New(fsys, o)
}

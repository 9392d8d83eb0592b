package run

import (
	"context"
	"errors"
	"fmt"

	"holdfast/catalog"
	"holdfast/dumpers"
	"holdfast/internal/blockmap"
	"holdfast/scheduler/recovery"
)

// base is what a dump builds on: the dump whose state it holds the changes since, with its block map, and for an
// overlay the block map of the image below.
type base struct {
	dump   catalog.Dump
	blockM *recovery.Map
	// parent is the map of the base image; it may be blockM itself.
	parent *recovery.Map
}

func (b base) blocks() *blockmap.Map {
	if b.blockM == nil {
		return nil
	}
	return b.blockM.Map
}

func (b base) parentBlocks() *blockmap.Map {
	if b.parent == nil {
		return nil
	}
	return b.parent.Map
}

// name is what the stream calls its backing file; empty for a dump that stands alone.
func (b base) name() string {
	if b.blockM == nil {
		return ""
	}
	return catalog.StandardName(b.dump.DLE, b.dump.Stamp, b.dump.Level)
}

func (b *base) close() {
	for _, m := range []*recovery.Map{b.blockM, b.parent} {
		if m != nil {
			_ = m.Close() // only read from; closing a file twice does no harm
		}
	}
	*b = base{}
}

// standAlone makes the dump a full that needs no other one.
func (d *dumping) standAlone(why string) {
	d.base.close()
	d.level = 0
	d.remark(why)
}

// chooseBase finds the dump to build on. Where there is none that can be used the dump becomes a full, and why is said.
func (d *dumping) chooseBase(ctx context.Context, info dumpers.DiskInfo) {
	if d.level > 0 {
		if err := d.chooseLower(ctx, info); err != nil {
			d.standAlone(err.Error())
		}
	}
	if d.dle.Base != nil {
		d.chooseParent(ctx)
	}
}

// chooseLower takes the latest dump of a lower level of the same image.
func (d *dumping) chooseLower(ctx context.Context, info dumpers.DiskInfo) error {
	b, ok := catalog.BaseFor(d.known.restorable(d.dle.Name()), d.level)
	if !ok {
		return errors.New("cannot build on the base: no dump of a lower level is left")
	}
	if why := changedKind(info, b); why != "" {
		return fmt.Errorf("cannot build on the base: %s", why)
	}
	m, err := d.openMap(ctx, b)
	if err != nil {
		return fmt.Errorf("cannot build on the base: block map of %s: %w", b.ID, err)
	}
	d.base.dump, d.base.blockM = b, m
	return nil
}

// chooseParent opens the latest dump of the base image. A clone's level 0 is a delta to it; the higher levels take from
// it what an overlay inherits.
func (d *dumping) chooseParent(ctx context.Context) {
	dumps := d.known.restorable(*d.dle.Base)
	if len(dumps) == 0 {
		if d.level == 0 {
			d.remark(fmt.Sprintf("its base %s has no dump: full that stands alone", d.dle.Base))
		}
		return
	}
	latest := dumps[len(dumps)-1]
	m, err := d.openMap(ctx, latest)
	if err != nil {
		if d.level == 0 {
			d.remark(fmt.Sprintf("block map of its base %s: %v: full that stands alone", latest.ID, err))
		}
		return
	}
	d.base.parent = m
	if d.level == 0 {
		d.base.dump, d.base.blockM = latest, m
	}
}

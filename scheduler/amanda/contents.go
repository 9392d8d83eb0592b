package amanda

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"holdfast/catalog"
	"holdfast/vtape"
	"holdfast/vtape/amandalog"
)

// blockKiB is the block size of our vtapes, in Amanda's terms.
const blockKiB = 32

// known is what the catalog knows of one storage.
type known struct {
	storage, pool, host string
	volumes             []catalog.Volume
	dumps               map[catalog.DumpID]catalog.Dump
	copies              []catalog.Copy
	runs                map[catalog.Stamp]catalog.Run
}

// contents is the same in Amanda's words.
type contents struct {
	tapelist string
	// logs by the stamp of the volumes they are about.
	logs         map[catalog.Stamp]string
	dumps, parts int
	// leftOut tells what of the storage Amanda is not told of, and why.
	leftOut []string
}

// describe says in Amanda's words what lies on a storage: copies that are whole, on volumes that are still there. A copy
// that is not whole would only be found to be broken.
func describe(k known) (contents, error) {
	c := contents{logs: map[catalog.Stamp]string{}}
	volumes := map[catalog.Label]catalog.Volume{}
	var tapes []amandalog.Tape
	for _, v := range k.volumes {
		if v.Retired {
			continue
		}
		volumes[v.Label] = v
		tapes = append(tapes, amandalog.Tape{
			// Volumes are ours to overwrite: whatever Amanda is told to do, it shall not.
			Stamp: cmp.Or(v.WriteStamp, amandalog.NeverWritten), Label: v.Label, NoReuse: true, BlockKiB: blockKiB,
			Pool: k.pool, Storage: k.storage,
		})
	}
	byStamp := map[catalog.Stamp][]catalog.Copy{}
	for _, v := range volumes {
		if v.WriteStamp != "" {
			byStamp[v.WriteStamp] = nil
		}
	}
	for _, copied := range k.copies {
		stamp, why := placed(copied, k.dumps[copied.Dump], volumes)
		if why != "" {
			c.leftOut = append(c.leftOut, fmt.Sprintf("%s, written at %s: %s", copied.Dump, copied.WriteStamp, why))
			continue
		}
		byStamp[stamp] = append(byStamp[stamp], copied)
		c.dumps++
		c.parts += len(copied.Parts)
	}
	for stamp, copies := range byStamp {
		text, err := k.log(stamp, copies, volumes)
		if err != nil {
			return c, err
		}
		c.logs[stamp] = text
	}
	var err error
	c.tapelist, err = amandalog.FormatTapelist(tapes)
	return c, err
}

// placed gives the stamp of the volumes that a copy lies on, or why it cannot be shown to Amanda.
func placed(c catalog.Copy, d catalog.Dump, volumes map[catalog.Label]catalog.Volume) (catalog.Stamp, string) {
	switch {
	case !c.Status.Usable():
		return "", "this copy is " + string(c.Status)
	case d.ID == "" || !d.Status.Usable():
		return "", "the dump is " + d.Outcome()
	case len(c.Parts) == 0:
		return "", "it has no parts"
	}
	stamp := volumes[c.Parts[0].Label].WriteStamp
	for _, p := range c.Parts {
		v, ok := volumes[p.Label]
		if !ok || v.WriteStamp == "" || v.WriteStamp != stamp {
			return "", fmt.Sprintf("volume %s was not written in the same run as the others", p.Label)
		}
	}
	return stamp, ""
}

// log is the log of the run that wrote the volumes with this stamp.
func (k known) log(stamp catalog.Stamp, copies []catalog.Copy, volumes map[catalog.Label]catalog.Volume) (string, error) {
	run := amandalog.Run{Stamp: stamp, Host: k.host}
	if r, ok := k.runs[stamp]; ok {
		run.Seconds = seconds(r.Started, r.Ended)
	}
	// In the order in which they lie there, for people who read it.
	slices.SortFunc(copies, func(a, b catalog.Copy) int {
		return cmp.Or(cmp.Compare(a.Parts[0].Label, b.Parts[0].Label), cmp.Compare(a.Parts[0].File, b.Parts[0].File))
	})
	w := &recordWriter{known: k, stamp: stamp, started: map[catalog.Label]bool{}}
	for _, c := range copies {
		d := k.dumps[c.Dump]
		w.copy(d, c)
		if d.Stamp == stamp {
			native, server := checksums(d)
			run.Dumps = append(run.Dumps, amandalog.Dumped{
				DLE: d.DLE, Level: d.Level, Native: native, Client: native, Server: server, Seconds: seconds(d.Started, d.Ended),
			})
		}
	}
	var empty []catalog.Label
	for label, v := range volumes {
		if v.WriteStamp == stamp && !w.started[label] {
			empty = append(empty, label)
		}
	}
	slices.Sort(empty)
	for _, label := range empty {
		w.start(label)
	}
	return amandalog.Format(run, w.records)
}

// recordWriter collects the records of a log.
type recordWriter struct {
	known
	stamp   catalog.Stamp
	started map[catalog.Label]bool
	records []amandalog.Record
}

func (w *recordWriter) start(label catalog.Label) {
	if w.started[label] {
		return
	}
	w.started[label] = true
	w.records = append(w.records, amandalog.Record{
		Kind: amandalog.Start, Storage: w.storage, Pool: w.pool, Stamp: w.stamp, Label: label, Tape: len(w.started),
	})
}

func (w *recordWriter) copy(d catalog.Dump, c catalog.Copy) {
	of := amandalog.Record{
		Storage: w.storage, Pool: w.pool, Stamp: d.Stamp, DLE: d.DLE, Level: d.Level, Total: len(c.Parts), OrigKiB: (d.OrigBytes + 1023) / 1024,
	}
	for _, p := range c.Parts {
		w.start(p.Label)
		r := of
		r.Kind, r.Label, r.File, r.Number, r.Bytes = amandalog.Part, p.Label, p.File, p.Number, p.Bytes
		w.records = append(w.records, r)
	}
	of.Kind, of.Bytes = amandalog.Done, d.StoredBytes
	of.Native, of.Server = checksums(d)
	of.Client = of.Native // as in the headers that we write
	w.records = append(w.records, of)
}

// checksums gives the two of a dump as Amanda compares them.
func checksums(d catalog.Dump) (native, server vtape.CRC) {
	if d.NativeCRC != 0 {
		native = vtape.CRC{Sum: d.NativeCRC, Bytes: d.OrigBytes}
	}
	if d.StoredCRC != 0 {
		server = vtape.CRC{Sum: d.StoredCRC, Bytes: d.StoredBytes}
	}
	return native, server
}

// seconds between two times; 0 where one is not known.
func seconds(from, to time.Time) float64 {
	if from.IsZero() || to.Before(from) {
		return 0
	}
	return to.Sub(from).Seconds()
}

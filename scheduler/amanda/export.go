package amanda

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"holdfast/catalog"
	"holdfast/catalog/sqlstore"
	"holdfast/configs"
	"holdfast/internal/vfs"
	"holdfast/vtape/library"
)

// keysName is the definition in which Amanda finds the credentials of a store; it stands in a file of its own, which the
// administrator fills in and which is never written again.
const keysName = "holdfast-keys"

const tapetype = "holdfast-vtape"

const keysText = `# Credentials of the store. This file is made once and then left alone.
define changer ` + keysName + ` {
    device-property "S3_ACCESS_KEY" "PUT THE ACCESS KEY HERE"
    device-property "S3_SECRET_KEY" "PUT THE SECRET KEY HERE"
}
`

// Exporter writes the catalog in Amanda's words.
type Exporter struct {
	FS     vfs.FS
	Config *configs.Config
	Store  *sqlstore.Store
	// Host is this machine's name, for Amanda's report. User is the one that Amanda's commands run as.
	Host, User string
}

// Exported is what came of one storage.
type Exported struct {
	Storage string `json:"storage"`
	// Dir is Amanda's configuration directory for it; empty when nothing could be written.
	Dir     string `json:"dir,omitempty"`
	Volumes int    `json:"volumes"`
	Dumps   int    `json:"dumps"`
	Parts   int    `json:"parts"`
	Logs    int    `json:"logs"`
	// LeftOut are copies that are not shown to Amanda, Notes what else should be known.
	LeftOut []string `json:"left_out,omitempty"`
	Notes   []string `json:"notes,omitempty"`
	// Problem is why nothing was written.
	Problem string `json:"problem,omitempty"`
}

// Export writes below dir a configuration for each of the storages. What an earlier export has written there is brought up
// to date; anything else that lies in dir is left as it is, or refused with ErrNotOurs if dir is not one of an export. A
// storage that Amanda cannot read is told in its Problem.
func (e Exporter) Export(ctx context.Context, dir string, storages []configs.Storage) ([]Exported, error) {
	t, err := openTree(e.FS, dir)
	if err != nil {
		return nil, fmt.Errorf("export to %s: %w", dir, err)
	}
	k, err := e.known(ctx)
	if err != nil {
		return nil, err
	}
	var out []Exported
	for _, st := range storages {
		x, err := e.storage(ctx, t, st, k)
		if errors.Is(err, ErrForm) {
			x.Dir, x.Problem, err = "", err.Error(), nil
		}
		if err != nil {
			return out, fmt.Errorf("export storage %s: %w", st.Name, err)
		}
		out = append(out, x)
	}
	if err := t.write(); err != nil {
		return out, fmt.Errorf("export to %s: %w", dir, err)
	}
	return out, nil
}

// known reads what the catalog knows of all storages.
func (e Exporter) known(ctx context.Context) (known, error) {
	k := known{host: e.Host, dumps: map[catalog.DumpID]catalog.Dump{}, runs: map[catalog.Stamp]catalog.Run{}}
	dumps, err := e.Store.Dumps(ctx, sqlstore.DumpFilter{})
	if err != nil {
		return k, err
	}
	runs, err := e.Store.Runs(ctx, 0)
	if err != nil {
		return k, err
	}
	for _, r := range runs {
		k.runs[r.Stamp] = r
	}
	for _, d := range dumps {
		k.dumps[d.ID] = d
	}
	k.copies, err = e.Store.AllCopies(ctx)
	if err != nil {
		return k, err
	}
	k.volumes, err = e.Store.Volumes(ctx, "")
	return k, err
}

// of narrows it to one storage.
func (k known) of(st configs.Storage) known {
	k.storage, k.pool = amandaName(st), amandaName(st)
	k.volumes = slices.DeleteFunc(slices.Clone(k.volumes), func(v catalog.Volume) bool { return v.Storage != st.Name })
	k.copies = slices.DeleteFunc(slices.Clone(k.copies), func(c catalog.Copy) bool { return c.Storage != st.Name })
	return k
}

func (e Exporter) storage(ctx context.Context, t *tree, st configs.Storage, k known) (Exported, error) {
	x := Exported{Storage: st.Name, Dir: path.Join(t.dir, st.Name)}
	if err := ctx.Err(); err != nil {
		return x, err
	}
	text, keys, notes, err := e.amandaConf(ctx, x.Dir, st)
	if err != nil {
		return x, err
	}
	k = k.of(st)
	c, err := describe(k)
	if err != nil {
		return x, err
	}
	x.Volumes, x.Dumps, x.Parts, x.Logs, x.LeftOut, x.Notes = strings.Count(c.tapelist, "\n"), c.dumps, c.parts, len(c.logs), c.leftOut, notes
	t.add(path.Join(st.Name, "amanda.conf"), text)
	t.add(path.Join(st.Name, "disklist"), "")
	t.add(path.Join(st.Name, "tapelist"), c.tapelist)
	for stamp, log := range c.logs {
		t.add(path.Join(st.Name, "log", fmt.Sprintf("log.%s.0", stamp)), log)
	}
	for _, sub := range []string{"log", "state/index", "state/curinfo"} {
		t.addDir(path.Join(st.Name, sub))
	}
	if keys {
		t.addOnce(path.Join(st.Name, "keys.conf"), keysText)
		x.Notes = append(x.Notes, "put the credentials of the store into "+path.Join(x.Dir, "keys.conf"))
	}
	return x, nil
}

// amandaConf writes a storage's amanda.conf.
func (e Exporter) amandaConf(ctx context.Context, dir string, st configs.Storage) (text string, keys bool, notes []string, err error) {
	d, err := changer(amandaName(st), dir, st, e.missing(ctx, st))
	if err != nil {
		return "", false, nil, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# The storage %s of holdfast, for Amanda's commands to read. Written by `holdfast volume export-amanda`, and anew by the\n"+
		"# next one: do not edit. Never let amdump, amflush, amlabel or amrmtape work with it: the volumes are holdfast's.\n", st.Name)
	for _, line := range [][2]string{
		{"org", e.Config.Org}, {"mailto", ""}, {"dumpuser", e.User},
		{"infofile", path.Join(dir, "state/curinfo")}, {"logdir", path.Join(dir, "log")},
		{"indexdir", path.Join(dir, "state/index")}, {"tapelist", path.Join(dir, "tapelist")},
	} {
		b.WriteString(conf(line[0], line[1]) + "\n")
	}
	if d.keys {
		b.WriteString(conf("includefile", path.Join(dir, "keys.conf")) + "\n")
	}
	b.WriteString(define("tapetype", tapetype, fmt.Sprintf("length %d kbytes", st.VolumeSize/configs.KiB), fmt.Sprintf("part_size %d kbytes", st.PartSize/configs.KiB)))
	b.WriteString(d.text)
	b.WriteString(define("storage", amandaName(st), conf("tapepool", amandaName(st)), conf("tpchanger", amandaName(st)),
		conf("tapetype", tapetype), conf("labelstr", labelPattern(st.Label))))
	b.WriteString(conf("storage", amandaName(st)) + "\n")
	for i, h := range e.Config.Holding {
		name := fmt.Sprintf("holdfast-holding%d", i+1)
		b.WriteString(define("holdingdisk", name, conf("directory", h.Dir)))
		b.WriteString(conf("holdingdisk", name) + "\n")
	}
	return b.String(), d.keys, d.notes, nil
}

// labelPattern is the expression for the labels of a template.
func labelPattern(template string) string {
	before, rest, _ := strings.Cut(template, "%")
	digits := 1 + len(rest) - len(strings.TrimLeft(rest, "%"))
	return "^" + regexp.QuoteMeta(before) + strings.Repeat("[0-9]", digits) + regexp.QuoteMeta(strings.TrimLeft(rest, "%")) + "$"
}

// missing tells which members of a parity set are not there.
func (e Exporter) missing(ctx context.Context, st configs.Storage) []int {
	var missing []int
	for i, m := range st.Members {
		if m.Device != configs.DeviceDir {
			continue
		}
		if _, err := library.OpenReadOnly(ctx, e.FS, m.Path); err != nil {
			missing = append(missing, i)
		}
	}
	return missing
}

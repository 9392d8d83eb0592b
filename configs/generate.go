package configs

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/dustin/go-humanize"

	"holdfast/catalog"
)

// GenerateOptions is what Generate makes a configuration from.
type GenerateOptions struct {
	Org string
	// State, Vtapes and Holding are directories, as they shall stand in the file; no Holding: none.
	State, Vtapes, Holding string
	Images                 []Image
	// FreeBytes is what the file system of Vtapes has free. HoldingFreeBytes is that of Holding if it is another file
	// system, and 0 if it is the same.
	FreeBytes, HoldingFreeBytes int64
}

// Image is an image that `init` found.
type Image struct {
	VM, Disk, Path string
	Format         Format
	// SizeBytes is the virtual size; UsedBytes what of it is allocated, 0 if that is not known.
	SizeBytes, UsedBytes int64
	// Base is the image this is a clone or copy of, VM or VM:DISK; empty for none.
	Base string
	// Err is why the image cannot be backed up: it is listed, but commented out.
	Err error
}

func (i Image) name() catalog.DLE { return catalog.DLE{VM: i.VM, Disk: i.Disk} }

// Generate writes the commented configuration of `holdfast init`. Its sizes leave a tenth of the file system free.
func Generate(o GenerateOptions) []byte {
	o.Images = Judged(o.Images)
	var b strings.Builder
	fmt.Fprintf(&b, generatedHead, quoted(o.Org), quoted(o.State))
	f := fitted(o)
	writeRoom(&b, o, f)
	writeHolding(&b, o, f)
	fmt.Fprintf(&b, generatedStorage, quoted(o.Vtapes), f.slots, f.volume, quoted(labelOf(o.Org)), f.runVolumes, f.window())
	b.WriteString(generatedTypes)
	writeDLEs(&b, o.Images)
	return []byte(b.String())
}

const generatedHead = `# The configuration of holdfast, made by "holdfast init". docs/configuration.md explains every key.
# After a change: "holdfast check".

# Name of the site, in reports and the subjects of mails.
org: %s

# Catalog, block maps and lock.
state: %s

# Who gets the report of each run, for example [root@localhost]. Empty: no mail.
mailto: []

# Each image gets a full dump within these days, and an incremental one in the other nights.
dump-cycle: 7d

# Images that are dumped at the same time.
in-parallel: 4

`

const generatedStorage = `storage:
  vtapes:
    device: dir
    path: %s
    # Two dump cycles of seven nights, and two to spare: what is needed is never overwritten.
    slots: %d
    # A vtape takes no more room than what is written to it, and never more than this.
    volume-size: %s
    # The run of %% becomes the number.
    label: %s
    # Vtapes that one run may fill.
    run-volumes: %d
%s
`

const generatedTypes = `dump-types:
  default:
    # none, fast, default or best.
    compress: default
    # To encrypt, name a file of public keys ("holdfast key generate" makes a pair). Keep the secret key elsewhere:
    # who has it can read every dump, and without it nobody can.
    # encrypt: {recipients: recipients.txt}

`

// generatedSlots is two dump cycles of seven nights and two to spare.
const generatedSlots = 16

// fit is how the room is shared out. Sizes are bytes.
type fit struct {
	usedBytes, roomBytes   int64
	holding, chunk, volume Size
	slots, runVolumes      int
	// enough tells that all images in full fit into one run.
	enough bool
}

// window gives the lines about the recovery window: a cycle of it wants the fulls of two cycles on the vtapes, and room for the
// nights between them.
func (f fit) window() string {
	const text = "recovery-window: 7d"
	if int64(f.slots)*int64(f.volume) >= 4*f.usedBytes {
		return "    # Every night of this many days can be restored. Without it only the latest state of each image is sure to stay.\n    " + text + "\n"
	}
	return "    # Every night of this many days could be restored if there were room for two fulls of each image and the nights between.\n    # " + text + "\n"
}

// fitted shares out nine tenths of what is free: a quarter at most for the holding disk, the rest in vtapes. A vtape
// need not be longer than twice all images, nor a holding disk than one and a quarter of them.
func fitted(o GenerateOptions) fit {
	f := fit{slots: generatedSlots, roomBytes: o.FreeBytes / 10 * 9}
	for _, i := range o.Images {
		switch {
		case i.Err != nil:
		case i.UsedBytes > 0:
			f.usedBytes += i.UsedBytes
		default:
			f.usedBytes += i.SizeBytes
		}
	}
	taken := int64(0)
	switch {
	case o.Holding == "":
	case o.HoldingFreeBytes > 0:
		f.holding = roundDown(o.HoldingFreeBytes / 10 * 9)
	default:
		f.holding = roundDown(min(max(f.usedBytes/4*5, int64(64*MiB)), f.roomBytes/4))
		taken = int64(f.holding)
	}
	f.chunk = min(f.holding/4, 1*GiB)
	each := (f.roomBytes - taken) / generatedSlots
	f.volume = max(roundDown(min(each, max(2*f.usedBytes, int64(GiB)))), minVolume)
	needBytes := f.usedBytes / 10 * 11 // headers, metadata, and what does not compress
	f.runVolumes = int(min(max((needBytes+int64(f.volume)-1)/int64(f.volume), 2), generatedSlots/2))
	f.enough = int64(f.runVolumes)*int64(f.volume) >= needBytes
	return f
}

// roundDown gives a size that is easy to read, at most n, and a multiple of 1 MiB.
func roundDown(n int64) Size {
	unit := MiB
	switch {
	case Size(n) >= 4*GiB:
		unit = GiB
	case Size(n) >= 256*MiB:
		unit = 64 * MiB
	}
	return max(Size(n)/unit*unit, 0)
}

func writeRoom(b *strings.Builder, o GenerateOptions, f fit) {
	fmt.Fprintf(b, "# The sizes below: %s are free where the vtapes lie, and a tenth of it stays free, so %s are shared out:\n",
		human(o.FreeBytes), human(f.roomBytes))
	fmt.Fprintf(b, "#   %d vtapes of %s are %s", f.slots, f.volume, human(int64(f.slots)*int64(f.volume)))
	switch {
	case f.holding == 0:
	case o.HoldingFreeBytes > 0:
		fmt.Fprintf(b, "; the holding disk has a file system of its own, with %s free", human(o.HoldingFreeBytes))
	default:
		fmt.Fprintf(b, ", and the holding disk has %s", f.holding)
	}
	fmt.Fprintf(b, ".\n#   The images hold %s; a run may write %d x %s.\n", human(f.usedBytes), f.runVolumes, f.volume)
	if !f.enough {
		b.WriteString("# That is too little for a full dump of all images in one night, even if some compress well.\n" +
			"# Fulls that find no room are put off. Put the vtapes on a larger file system and raise volume-size.\n")
	}
	b.WriteString("\n")
}

func writeHolding(b *strings.Builder, o GenerateOptions, f fit) {
	if f.holding == 0 {
		b.WriteString("# No holding disk: dumps go straight to a vtape, one at a time.\nholding: []\n\n")
		return
	}
	b.WriteString("# Dumps wait here until they are on a vtape, so that several images can be dumped at once.\nholding:\n")
	fmt.Fprintf(b, "  - dir: %s\n    use: %s\n    # Longest file on it.\n    chunk: %s\n\n", quoted(o.Holding), f.holding, f.chunk)
}

func writeDLEs(b *strings.Builder, images []Image) {
	base := basesAmong(images)
	b.WriteString("# The disk list: one entry for each image.\n")
	if len(images) == 0 {
		b.WriteString("# Add entries like {vm: web01, disk: disk0, image: /images/web01.qcow2, format: qcow2}.\n")
	}
	lines := 0
	var entries strings.Builder
	for _, i := range images {
		entry := fmt.Sprintf("{vm: %s, disk: %s, image: %s, format: %s", quoted(i.VM), quoted(i.Disk), quoted(i.Path), i.Format)
		if i.Err != nil {
			fmt.Fprintf(&entries, "  # Left out: %s\n  # - %s}\n", oneLine(i.Err.Error()), entry)
			continue
		}
		lines++
		switch {
		case i.Base == "":
		case base[i.name()] != nil:
			entry += ", base: " + quoted(base[i.name()].String())
		default:
			fmt.Fprintf(&entries, "  # Its base %s is not in this list, or rests on it: it is dumped whole.\n", quoted(i.Base))
		}
		fmt.Fprintf(&entries, "  - %s}\n", entry)
	}
	if lines == 0 {
		b.WriteString("dles: []\n")
	} else {
		b.WriteString("dles:\n")
	}
	b.WriteString(entries.String())
}

// basesAmong gives the base of each image that has one which is itself in the list, and not on top of it.
func basesAmong(images []Image) map[catalog.DLE]*catalog.DLE {
	called := map[string]*catalog.DLE{}
	for _, i := range images {
		if name := i.name(); i.Err == nil {
			called[i.VM], called[name.String()] = &name, &name
		}
	}
	base := map[catalog.DLE]*catalog.DLE{}
	for _, i := range images {
		below := called[i.Base]
		for below != nil && *below != i.name() {
			below = base[*below]
		}
		if below == nil && i.Err == nil {
			base[i.name()] = called[i.Base]
		}
	}
	return base
}

// Judged gives the images with an Err at each that cannot stand in a configuration beside those before it.
func Judged(images []Image) []Image {
	out := make([]Image, len(images))
	names := map[string]catalog.DLE{}
	for n, i := range images {
		if i.Err == nil {
			i.Err = misfit(i)
		}
		file := catalog.StandardName(i.name(), "", 0)
		if other, taken := names[file]; taken && i.Err == nil {
			i.Err = fmt.Errorf("%s has that name, or one that makes the same file names; give this one another", other)
		}
		if i.Err == nil {
			names[file] = i.name()
		}
		out[n] = i
	}
	return out
}

// misfit gives what Parse would have against an image's names.
func misfit(i Image) error {
	for _, text := range []string{i.VM, i.Disk, i.Path} {
		if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			return fmt.Errorf("%q: not UTF-8, or a control character", text)
		}
	}
	k := check{&decoder{}, &Config{DumpTypes: map[string]DumpType{defaultType: {}}}}
	k.dle("", DLE{VM: i.VM, Disk: i.Disk, Image: i.Path, Type: defaultType})
	if len(k.faults) > 0 {
		return k.faults[0].problem
	}
	return nil
}

var plainText = regexp.MustCompile(`^[A-Za-z0-9_./][A-Za-z0-9_./@+=-]*$`)

// quoted gives text as it may stand anywhere in YAML.
func quoted(text string) string {
	if plainText.MatchString(text) && !strings.EqualFold(text, "null") {
		return text
	}
	return strconv.Quote(text) // each escape of Go's means the same in YAML, for valid UTF-8
}

var notInLabel = regexp.MustCompile(`[^A-Z0-9]+`)

// labelOf makes a label template from the name of the site.
func labelOf(org string) string {
	const maxPrefix = 24
	prefix := notInLabel.ReplaceAllString(strings.ToUpper(org), "-")
	prefix = strings.Trim(prefix[:min(len(prefix), maxPrefix)], "-")
	if prefix == "" {
		prefix = "HOLDFAST"
	}
	return prefix + "-%%%"
}

func human(sizeBytes int64) string { return humanize.IBytes(uint64(max(sizeBytes, 0))) }

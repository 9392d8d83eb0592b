package configs

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"holdfast/catalog"
)

const (
	maxLevel = int(catalog.MaxLevel)
	// maxName leaves room in a file's name (255 bytes) for stamp, level, part number and suffix.
	maxName = 180
)

func (k check) dles() {
	if len(k.c.DLEs) == 0 {
		k.warn("dles", "there is no DLE: nothing will be backed up")
	}
	names, files, images := map[catalog.DLE]int{}, map[string]int{}, map[string]int{}
	for i, d := range k.c.DLEs {
		path := join("dles", strconv.Itoa(i))
		k.dle(path, d)
		line, image := k.placeOf(path).line, filepath.Clean(d.Image)
		file := catalog.StandardName(d.Name(), "", 0)
		switch {
		case names[d.Name()] != 0:
			k.fail(path, problem{Message: fmt.Sprintf("%s stands twice", d.Name()), Hint: fmt.Sprintf("first in line %d", names[d.Name()])})
		case files[file] != 0:
			k.fail(path, problem{Message: fmt.Sprintf("%s: its files would have the names of those of the entry in line %d", d.Name(), files[file])})
		case images[image] != 0:
			k.fail(join(path, "image"), problem{Message: fmt.Sprintf("%q is also the image of the entry in line %d", d.Image, images[image])})
		default:
			names[d.Name()], files[file], images[image] = line, line, line
		}
	}
	k.bases()
	k.taken()
}

// taken warns of DLEs whose dumps no storage takes: they could only stay on the holding disk.
func (k check) taken() {
	for i, d := range k.c.DLEs {
		for _, kind := range []struct {
			full bool
			name string
		}{{true, "full"}, {false, "incremental"}} {
			if _, known := k.c.DumpTypes[d.Type]; known && !k.c.direct(d, kind.full) {
				k.warn(join("dles", strconv.Itoa(i)), fmt.Sprintf("no storage takes the %s dumps of %s, by what stands under select", kind.name, d.Name()))
			}
		}
	}
}

func (k check) dle(path string, d DLE) {
	k.must(k.oneWord(d.VM) && !strings.ContainsAny(d.VM, ":/\\"), join(path, "vm"), fmt.Sprintf("%q is not one word without ':' and '/'", d.VM), "")
	k.must(d.Disk != "" && strings.TrimSpace(d.Disk) == d.Disk, join(path, "disk"), fmt.Sprintf("%q is empty or has blanks around it", d.Disk), "")
	k.must(!strings.ContainsAny(first(d.VM), "-."), join(path, "vm"), fmt.Sprintf("%q begins with - or .", d.VM), "")
	k.must(!strings.ContainsAny(first(d.Disk), "-."), join(path, "disk"), fmt.Sprintf("%q begins with - or .", d.Disk), "")
	k.must(len(d.VM)+len(d.Disk) <= maxName, path, fmt.Sprintf("the names of VM and disk together are longer than %d bytes", maxName), "")
	k.path(join(path, "image"), d.Image)
	k.tags(join(path, "tags"), d.Tags)
	if _, ok := k.c.DumpTypes[d.Type]; !ok {
		k.fail(join(path, "type"), problem{
			Message: fmt.Sprintf("there is no dump type %q", d.Type), Hint: didYouMean(d.Type, slices.Sorted(maps.Keys(k.c.DumpTypes))),
		})
	}
}

// bases finds the DLEs that are meant as bases.
func (k check) bases() {
	called := map[string][]catalog.DLE{} // what Match finds, for thousands of them
	for _, d := range k.c.DLEs {
		called[d.VM] = append(called[d.VM], d.Name())
		called[d.Name().String()] = append(called[d.Name().String()], d.Name())
	}
	for i := range k.c.DLEs {
		d := &k.c.DLEs[i]
		if d.BaseName == "" {
			continue
		}
		path := join(join("dles", strconv.Itoa(i)), "base")
		found := called[d.BaseName]
		switch {
		case len(found) == 0:
			p := problem{Message: fmt.Sprintf("there is no DLE %q", d.BaseName)}
			if len(k.faults) < maxFaults { // looking for what was meant takes long
				p.Hint = didYouMean(d.BaseName, k.c.Names())
			}
			k.fail(path, p)
		case len(found) > 1:
			k.fail(path, problem{Message: fmt.Sprintf("%q has %d disks", d.BaseName, len(found)), Hint: fmt.Sprintf("write %s, or another of them", found[0])})
		case found[0] == d.Name():
			k.fail(path, problem{Message: fmt.Sprintf("%s cannot be its own base", d.Name())})
		default:
			d.Base = &found[0]
		}
	}
	k.rings()
}

// rings finds DLEs that are each other's bases, and tells each ring once.
func (k check) rings() {
	index, walked := map[catalog.DLE]int{}, map[catalog.DLE]int{}
	for i, d := range k.c.DLEs {
		index[d.Name()] = i
	}
	base := func(name catalog.DLE) *catalog.DLE { return k.c.DLEs[index[name]].Base }
	for i, d := range k.c.DLEs {
		name := d.Name()
		for walked[name] == 0 && base(name) != nil {
			walked[name] = i + 1
			name = *base(name)
		}
		if walked[name] != i+1 {
			continue // the walk ended, or came upon an earlier one
		}
		ring := []string{name.String()}
		for b := base(name); *b != name; b = base(*b) {
			ring = append(ring, b.String())
		}
		k.fail(join(join("dles", strconv.Itoa(index[name])), "base"), problem{
			Message: "bases in a ring: " + strings.Join(append(ring, ring[0]), " on "),
		})
	}
}

// Names gives what a DLE may be called: each VM, and each VM:DISK.
func (c *Config) Names() []string {
	var names []string
	for _, d := range c.DLEs {
		names = append(names, d.VM, d.Name().String())
	}
	return names
}

// first gives the first byte of a name, if it has one.
func first(name string) string { return name[:min(len(name), 1)] }

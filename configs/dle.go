package configs

import (
	"cmp"
	"maps"
	"slices"

	"holdfast/catalog"
)

// DLE is a disk list entry: one image to back up.
type DLE struct {
	VM        string   `yaml:"vm" jsonschema:"required" doc:"Name of the virtual machine, one word; what Amanda calls the host."`
	Disk      string   `yaml:"disk" doc:"Name of its disk."`
	Image     string   `yaml:"image" jsonschema:"required" doc:"The image: a file or a block device."`
	Format    Format   `yaml:"format" jsonschema:"required" doc:"Format of the image. It is never guessed: a guest could write anything into a raw image."`
	Type      string   `yaml:"type" doc:"Dump type."`
	Host      string   `yaml:"host,omitempty" doc:"The machine that the image is read from, such as a hypervisor, for max-dumps and for failures of connection; without it, the virtual machine itself."`
	Spindle   string   `yaml:"spindle,omitempty" doc:"Name of the disk of that host on which the image lies: of one spindle only one image is dumped at a time."`
	Datastore string   `yaml:"datastore,omitempty" doc:"Name of the datastore on which the image lies."`
	Interface string   `yaml:"interface,omitempty" doc:"Name of the interface over which the image is read."`
	Tags      []string `yaml:"tags,omitempty" doc:"Further words by which a storage may choose this DLE, beside those of its dump type."`
	BaseName  string   `yaml:"base,omitempty" doc:"Another DLE, VM or VM:DISK, whose image this one is a linked clone or a drifted copy of: the base is dumped once, and this one as what differs."`
	Hooks     []Hook   `yaml:"hooks,omitempty" doc:"Hooks of this DLE, beside those of its dump type, with dle- in their words."`

	// Base is the DLE that BaseName means; nil for none.
	Base *catalog.DLE `yaml:"-" json:"-"`
}

// Reader is the host that the image is read from.
func (d DLE) Reader() string {
	if d.Host != "" {
		return d.Host
	}
	return d.VM
}

// Name gives the entry's name.
func (d DLE) Name() catalog.DLE { return catalog.DLE{VM: d.VM, Disk: d.Disk} }

// TypeOf gives the complete settings of d, which is one of c.DLEs.
func (c *Config) TypeOf(d DLE) DumpType { return c.DumpTypes[d.Type] }

// MainStorage gives the storage that the planner reckons with: the first in the file that is no vault.
func (c *Config) MainStorage() Storage {
	for _, s := range c.Storages() {
		if !s.Vault.On() {
			return s
		}
	}
	panic("configs: a Config without a storage to write to; it did not come from Parse")
}

// Storages gives all storages in the order of the file.
func (c *Config) Storages() []Storage {
	return slices.SortedFunc(maps.Values(c.Storage), func(a, b Storage) int {
		return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(a.Name, b.Name))
	})
}

// Find gives the DLE of this name.
func (c *Config) Find(name catalog.DLE) (DLE, bool) {
	for _, d := range c.DLEs {
		if d.Name() == name {
			return d, true
		}
	}
	return DLE{}, false
}

// Match gives the DLEs that a name on the command line or in `base:` means: VM (all its disks) or VM:DISK.
func (c *Config) Match(name string) []DLE {
	var found []DLE
	for _, d := range c.DLEs {
		if name == d.VM || name == d.Name().String() {
			found = append(found, d)
		}
	}
	return found
}

package configs

import (
	"fmt"

	"holdfast/internal/braces"
)

// Storage is a set of volumes and the rules for writing them. Sizes are bytes.
type Storage struct {
	// Name is the storage's key in the configuration.
	Name string `yaml:"-" json:"-"`
	// Index is the storage's place in the file, from 0.
	Index int `yaml:"-" json:"-"`

	Device     DeviceKind `yaml:"device" doc:"Kind of volumes: dir keeps each vtape in a directory, s3 in a bucket, rait spreads each over several members with parity."`
	Path       string     `yaml:"path,omitempty" doc:"With device dir: the directory of the vtape library."`
	S3         S3         `yaml:"s3,omitempty" doc:"With device s3: the bucket, and how it is spoken to."`
	Members    []Member   `yaml:"members,omitempty" doc:"With device rait: the libraries that the set is made of, in their order, which never changes."`
	Parity     int        `yaml:"parity,omitempty" doc:"With device rait: how many members may be lost; 1 if nothing is said here. Two members are a mirror."`
	Slots      int        `yaml:"slots" jsonschema:"required" doc:"Number of vtapes in it."`
	VolumeSize Size       `yaml:"volume-size" jsonschema:"required" doc:"Bytes on one vtape, headers included; at least 1MiB."`
	PartSize   Size       `yaml:"part-size" doc:"Longest part of a dump on a vtape, a multiple of 128KiB; 0: a quarter of volume-size, at most 1GiB."`
	Label      string     `yaml:"label" jsonschema:"required" doc:"Labels of new vtapes: the run of % becomes the number, so DEMO-%%% gives DEMO-001."`
	Pool       string     `yaml:"pool,omitempty" doc:"Storages of one pool stand for one another, such as disks that are rotated: a run writes to the first of them that is there."`
	Removable  bool       `yaml:"removable,omitempty" doc:"The library may be away; that is a note in the report and no failure."`
	Mount      []string   `yaml:"mount,omitempty" doc:"Command, as a list of words, that makes the library reachable before it is used."`
	Unmount    []string   `yaml:"unmount,omitempty" doc:"Command, as a list of words, that is called when a run is done with the library."`

	Select []Selection `yaml:"select,omitempty" doc:"Which dumps go here: those that match one of the entries; none: all."`
	Vault  Vault       `yaml:"vault,omitempty" doc:"Makes this a vault: no run writes to it while dumping; dumps are copied to it from another storage."`

	RunVolumes     int            `yaml:"run-volumes" doc:"Vtapes that one run may fill."`
	ParallelWrite  int            `yaml:"taper-parallel-write" doc:"Vtapes written at the same time, at most run-volumes."`
	TaperAlgorithm TaperAlgorithm `yaml:"taper-algorithm" doc:"Which dump is written next: the first that was made, the largest, the smallest, the last, or the first or largest that fits the volume."`
	FlushDumped    int            `yaml:"flush-threshold-dumped" doc:"A volume is begun only when the dumps that wait for it are more than this percent of volume-size; 0: at once."`
	FlushScheduled int            `yaml:"flush-threshold-scheduled" doc:"The same with the dumps still to be made counted in; at least flush-threshold-dumped."`
	TaperFlush     int            `yaml:"taperflush" doc:"At the end of a run a volume is begun only for more than this percent of volume-size; what is less waits on the holding disk."`

	KeepVolumes    int  `yaml:"keep-volumes" doc:"This many of the vtapes written last are never overwritten, nor what the dumps on them build on. Whatever it says, the latest dump of each image stays with all it builds on; the other vtapes are used again, the oldest first."`
	KeepDays       Days `yaml:"keep-days,omitempty" doc:"No vtape is overwritten within this many days of its writing."`
	RecoveryWindow Days `yaml:"recovery-window,omitempty" doc:"Every night of this many days can be restored: the dumps of that time stay, and what they build on."`
	KeepFulls      int  `yaml:"keep-fulls,omitempty" doc:"This many of the latest fulls of each image stay."`
	KeepFullDays   Days `yaml:"keep-full-days,omitempty" doc:"Each full stays for this many days."`
	NoReuse        bool `yaml:"no-reuse,omitempty" doc:"No vtape is ever overwritten."`
	Erase          bool `yaml:"erase,omitempty" doc:"A vtape that need not be kept any more is erased at the end of the run, and not only when it is used again."`
}

// Member is one library of a parity set.
type Member struct {
	Device DeviceKind `yaml:"device" doc:"Kind of the member: dir or s3."`
	Path   string     `yaml:"path,omitempty" doc:"With device dir: the directory of the member's library."`
	S3     S3         `yaml:"s3,omitempty" doc:"With device s3: the bucket of the member."`
}

// S3 is a bucket and how it is spoken to. Credentials never stand here: they come from the environment, the shared
// credentials file or the machine's role, as with other programs that use S3.
type S3 struct {
	Bucket       string   `yaml:"bucket,omitempty" doc:"The bucket. It must be there."`
	Prefix       string   `yaml:"prefix,omitempty" doc:"What the names of all objects begin with; a '/' or '-' at its end keeps it apart."`
	Volumes      string   `yaml:"volumes,omitempty" doc:"For a library that Amanda has written: what the names of each volume's objects begin with after the prefix, such as vol{01,02,03}-, in the order of the slots. Empty: slot1-, slot2- and so on."`
	Endpoint     string   `yaml:"endpoint,omitempty" doc:"URL of the server, if it is not Amazon's."`
	Region       string   `yaml:"region,omitempty" doc:"Region; us-east-1 if nothing is said here."`
	Profile      string   `yaml:"profile,omitempty" doc:"Profile in the shared credentials file."`
	PathStyle    bool     `yaml:"path-style,omitempty" doc:"Name the bucket in the path and not in the host name; most servers other than Amazon's want it."`
	CAFile       string   `yaml:"ca-file,omitempty" doc:"File of certificates that the server is trusted by, in place of the system's."`
	Rate         Size     `yaml:"rate,omitempty" doc:"Bytes a second that are sent at most; 0: no limit."`
	Connections  int      `yaml:"connections,omitempty" doc:"Pieces sent at the same time; 0: 4."`
	PieceSize    Size     `yaml:"piece-size,omitempty" doc:"Bytes of a piece, from 5MiB on; 0: 16MiB. Pieces grow where a part would have more than 10000."`
	StorageClass string   `yaml:"storage-class,omitempty" doc:"Storage class of the data, such as STANDARD_IA."`
	Encryption   string   `yaml:"encryption,omitempty" doc:"Encryption by the server: AES256 or aws:kms."`
	KMSKey       string   `yaml:"kms-key,omitempty" doc:"Key of aws:kms."`
	Checksum     Checksum `yaml:"checksum,omitempty" doc:"Checksum sent with the data: crc32c, or none for servers that refuse it."`
	Lock         LockMode `yaml:"lock,omitempty" doc:"Object lock: governance or compliance. What is written can then not be removed by anyone until lock-days are over; the bucket must have been made with it."`
	LockDays     Days     `yaml:"lock-days,omitempty" doc:"How long objects are locked from the day they are written."`
}

// VolumeNames gives what Volumes stands for, a name for each slot; none when it is empty. An error is one of its braces.
func (s S3) VolumeNames() ([]string, error) {
	if s.Volumes == "" {
		return nil, nil
	}
	names, err := braces.Expand(s.Volumes)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", s.Volumes, err)
	}
	return names, nil
}

// Selection names dumps by what they are of; fields left empty do not narrow it.
type Selection struct {
	Types  []string       `yaml:"types,omitempty" doc:"Dump types."`
	Tags   []string       `yaml:"tags,omitempty" doc:"Tags, of which the DLE or its dump type has one."`
	Levels LevelSelection `yaml:"levels,omitempty" doc:"Levels: all, full or incremental."`
}

// Vault says which dumps are copied from another storage, and when.
type Vault struct {
	From  string         `yaml:"from,omitempty" doc:"Name of the storage that the dumps are copied from."`
	After Days           `yaml:"after,omitempty" doc:"Age at which a dump is copied; 0d: in the run that made it."`
	Dumps VaultSelection `yaml:"dumps,omitempty" doc:"Which dumps: all, full, latest-full or incremental."`
}

// On tells whether the storage is a vault.
func (v Vault) On() bool { return v.From != "" }

// dataMembers is the number of a parity set's members that hold data and no parity, at least 1.
func (s Storage) dataMembers() int { return max(len(s.Members)-max(s.Parity, defaultParity), 1) }

// partUnit is what the length of a part is a multiple of. A set in Amanda's form fills the last stripe of a part with
// zeros, so there only the end of a dump may be less than a whole stripe: one block of each data member.
func (s Storage) partUnit() Size {
	if s.Device != DeviceRAIT || s.Parity > 1 || len(s.Members) > amandaMembers {
		return partUnit
	}
	stripe := memberBlock * Size(s.dataMembers())
	unit := Size(partUnit)
	for unit%stripe != 0 {
		unit += partUnit
	}
	return unit
}

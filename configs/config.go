// Package configs reads the configuration: YAML in, a Config out, checked and with every default filled in.
//
// Its one invariant: a Config that Load or Parse returned is sound, so nothing that uses one checks it again; and
// every error names the file, line and column it is about, in words that need no knowledge of Go.
//
// Reading touches nothing but the file itself. Whether directories, images and keys exist is for `holdfast check`.
package configs

// Config is a whole configuration. Paths are absolute if the configuration's own path was; lists are in the order of
// the file. The doc tags are the texts of the reference and of the schema.
type Config struct {
	// Path is the file this was read from, absolute when it came from Load.
	Path string `yaml:"-" json:"-"`
	// Warnings are things that are allowed but seldom meant, each with its place in the file.
	Warnings []string `yaml:"-" json:"-"`

	Org          string               `yaml:"org" doc:"Name of the site, in reports and the subjects of mails."`
	State        string               `yaml:"state" jsonschema:"required" doc:"Directory of the catalog, the block maps and the lock. It belongs on another disk than the images."`
	MailTo       []string             `yaml:"mailto" doc:"Addresses that get the report of each run; none: no mail."`
	Mail         Mail                 `yaml:"mail" doc:"How the report is mailed."`
	SendReportOn ReportOn             `yaml:"send-report-on" doc:"Which reports are mailed: of all runs, of those with anything strange or worse, of those with an error, or never."`
	DumpCycle    Days                 `yaml:"dump-cycle" doc:"Each image gets a full dump within this many calendar days; 1d: one each night."`
	RunsPerCycle int                  `yaml:"runs-per-cycle" doc:"Runs within a dump cycle; 0: one a day."`
	Window       Window               `yaml:"window,omitempty" doc:"Time of day in which runs shall work, such as 01:00-06:00. No more is planned than fits it by the times that earlier dumps took. After its end no dump is begun, and a full that would outlast it gives way to an incremental. Without it there is no limit."`
	Schedule     Schedule             `yaml:"schedule,omitempty" doc:"When holdfast daemon does what. Without it, cron or a timer calls holdfast run."`
	InParallel   int                  `yaml:"in-parallel" doc:"Images dumped at the same time."`
	DumpOrder    DumpOrder            `yaml:"dump-order" doc:"A letter for each image dumped at the same time, by which it is chosen within its priority: s or S for the smallest or largest first, t or T for the shortest or longest, b or B for the lowest or highest rate. Those beyond the end go by T."`
	Datastores   map[string]Datastore `yaml:"datastores,omitempty" doc:"What images lie on, by name, with a limit."`
	Interfaces   map[string]Interface `yaml:"interfaces,omitempty" doc:"Lines that images are read over, by name, with a limit."`
	Bump         Bump                 `yaml:"bump" doc:"When an incremental dump goes one level up."`
	Holding      []Holding            `yaml:"holding" doc:"Holding disks: dumps are kept there until they are on a volume; none: dumps go straight to a volume, one at a time."`
	Storage      map[string]Storage   `yaml:"storage" jsonschema:"required" doc:"Where dumps go, by name."`
	Reserve      int                  `yaml:"reserve" doc:"Percent of the holding disks kept for incrementals while no volume can be written: fulls are held there only as far as the rest goes."`
	Autoflush    bool                 `yaml:"autoflush" doc:"A run also writes what earlier runs left on the holding disks."`
	DumpTypes    map[string]DumpType  `yaml:"dump-types" doc:"Named sets of settings for DLEs. A type takes what it does not set from the one it inherits, or else from the type 'default'."`
	Hooks        []Hook               `yaml:"hooks,omitempty" doc:"Programs that are run before and after something."`
	Hosts        []Host               `yaml:"hosts,omitempty" doc:"What is set for all disks of one virtual machine."`
	DLEs         []DLE                `yaml:"dles" doc:"The disk list: one entry for each image to back up."`
}

// Mail says how reports are mailed: by SMTP if SMTP is set, else by the sendmail program.
type Mail struct {
	SMTP         string  `yaml:"smtp,omitempty" doc:"Mail server, HOST:PORT. Without it the sendmail program is used."`
	From         string  `yaml:"from,omitempty" doc:"Address of the sender; without it 'holdfast' at this host's name."`
	TLS          TLSMode `yaml:"tls,omitempty" doc:"Encryption of the SMTP connection. Without it: none to this host itself, mandatory to any other."`
	User         string  `yaml:"user,omitempty" doc:"User name at the mail server."`
	PasswordFile string  `yaml:"password-file,omitempty" doc:"File with the password of 'user' in its first line. A password never stands in this file."`
	Sendmail     string  `yaml:"sendmail,omitempty" doc:"The sendmail program, used unless 'smtp' is set."`
}

// Bump holds Amanda's bump rules: an incremental goes from level L to L+1 when that saves at least
// Size x Mult^(L-1) bytes of image data.
type Bump struct {
	Size    Size    `yaml:"size" doc:"Bytes that level 2 must save over level 1."`
	Percent int     `yaml:"percent" doc:"The same as a part of the full dump's size, in percent; 0: 'size' counts."`
	Mult    float64 `yaml:"mult" doc:"Factor on that threshold for each further level."`
	Days    int     `yaml:"days" doc:"Runs at one level before the next."`
}

// Holding is one holding disk.
type Holding struct {
	Dir   string `yaml:"dir" jsonschema:"required" doc:"Directory of the holding disk."`
	Use   Size   `yaml:"use" doc:"Bytes of it that may be used; 0: all that is free; negative: all that is free but this much."`
	Chunk Size   `yaml:"chunk" doc:"Longest file on it, its 32 KiB header included; a multiple of 32KiB, at least 64KiB."`
}

// DumpType is a set of settings for DLEs. In a Config each is complete: what it did not set is filled in.
type DumpType struct {
	// Name is the type's key in the configuration.
	Name string `yaml:"-" json:"-"`

	Inherit    string      `yaml:"inherit,omitempty" doc:"Name of the dump type that this one takes its other settings from."`
	Compress   Compression `yaml:"compress" doc:"Compression; fast, default and best are about levels 1, 3 and 9 of zstd."`
	Encrypt    Encrypt     `yaml:"encrypt" doc:"Encryption with age; 'none' turns an inherited one off."`
	Strategy   Strategy    `yaml:"strategy" doc:"Fulls and incrementals as planned (standard), fulls only (noinc), level 1 only (nofull), no fulls (incronly), or no dumps at all (skip)."`
	Priority   Priority    `yaml:"priority" doc:"What goes first when there is not room for all: a higher number; low, medium and high are 0, 1 and 2."`
	DumpCycle  Days        `yaml:"dump-cycle" doc:"Dump cycle of these DLEs, if not that of the whole configuration."`
	Bump       Bump        `yaml:"bump" doc:"Bump rules of these DLEs, if not those of the whole configuration."`
	MaxLevel   int         `yaml:"max-level" doc:"Highest level, 1 to 9: a restore reads at most one dump more than this."`
	MaxChain   int         `yaml:"max-chain,omitempty" doc:"Most dumps of the image that a restore reads, the full among them; 1: fulls only; 0: as max-level says."`
	MaxPromote Days        `yaml:"max-promote" doc:"How long before it is due a full may be made so that the nights carry the same, at most; 0d: never. Such fulls are few: each has its price."`
	SkipFull   bool        `yaml:"skip-full,omitempty" doc:"No dump in runs in which a full is due, for images whose fulls are made elsewhere. The first dump is a full all the same."`
	SkipIncr   bool        `yaml:"skip-incr,omitempty" doc:"No dump in runs in which no full is made."`
	Tags       []string    `yaml:"tags" doc:"Words by which a storage may choose these DLEs."`
	Hooks      []Hook      `yaml:"hooks,omitempty" doc:"Hooks of these DLEs, with dle- in their words; as with every key, those of the inherited type are replaced."`
	MaxDumps   int         `yaml:"max-dumps" doc:"Dumps at the same time on one host."`
	Start      Clock       `yaml:"start,omitempty" doc:"Time of day before which no dump is begun, such as 03:30."`
	Timeout    Duration    `yaml:"dump-timeout" doc:"A dump that makes no progress for so long is ended; 0s: never."`
	Retries    int         `yaml:"retries" doc:"Further attempts within the run at a dump whose failure may pass, as one of the connection or a timeout."`
	RetryDelay Duration    `yaml:"retry-delay" doc:"How long after a failure the next attempt is made."`
	Holding    HoldingUse  `yaml:"holding" doc:"Use of the holding disk: if there is room (auto), required, or never."`
}

// Encrypt says how dumps are encrypted. The zero value is no encryption.
type Encrypt struct {
	Recipients string `yaml:"recipients" jsonschema:"required" doc:"File of age recipients (public keys), one a line. The identities that restore stay off this machine."`
	Program    string `yaml:"program" doc:"Program named in the dumps' headers, which Amanda's commands call to decrypt."`
}

// On tells whether dumps are encrypted.
func (e Encrypt) On() bool { return e.Recipients != "" }

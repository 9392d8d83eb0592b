package configs

import (
	"net"
	"path/filepath"
	"strings"

	"holdfast/catalog"
)

// Defaults that are used in more than one place.
const (
	defaultType     = "default"
	defaultSendmail = "/usr/sbin/sendmail"
	// defaultProgram is where `make install` puts the program that Amanda's commands can call to decrypt.
	defaultProgram = "/usr/local/lib/holdfast/age"
	// partUnit is what parts are multiples of: 128 KiB is a whole number of stripes on a RAIT set of 2, 3 or 5.
	partUnit = 128 * KiB
	// defaultParity is Amanda's: one member may be lost.
	defaultParity = 1
	// amandaMembers is the largest set in Amanda's form, which has one member of parity; see package vtape/rait.
	amandaMembers = 5
	// memberBlock is what such a set writes to one of its members at a time; see Amanda's RAIT device.
	memberBlock = 32 * KiB
	// maxDefaultPart is large enough that headers do not count, and small enough to write again after a fault.
	maxDefaultPart = 1 * GiB
	// defaultReserve leaves most of the holding disk to fulls when there is no volume: some nights of incrementals still fit.
	defaultReserve = 30
	// defaultPromote lets a full be made at any time before it is due, as Amanda's maxpromoteday does.
	defaultPromote Days = 10000
)

func defaultConfig() Config {
	return Config{
		Org:          "holdfast",
		SendReportOn: ReportAll,
		DumpCycle:    7,
		InParallel:   4,
		DumpOrder:    "ttt",
		Bump:         Bump{Size: 10 * MiB, Mult: 1.5, Days: 2},
		Reserve:      defaultReserve,
		Autoflush:    true,
	}
}

func (h *Holding) defaults() { h.Chunk = 1 * GiB }

func (s *Storage) defaults() {
	s.Device, s.RunVolumes, s.ParallelWrite, s.TaperAlgorithm = DeviceDir, 1, 1, TaperFirst
}

func (d *Datastore) defaults() { d.MaxDumps = 1 }

func (m *Member) defaults() { m.Device = DeviceDir }

func (s *Selection) defaults() { s.Levels = LevelsAll }

func (d *DLE) defaults() { d.Disk, d.Type = "disk0", defaultType }

func (e *Encrypt) none() { *e = Encrypt{} }

// builtinType is the dump type below all others: cycle and bump rules are those of the whole configuration.
func builtinType(c *Config) DumpType {
	return DumpType{
		Name: defaultType, Compress: CompressDefault, Strategy: StrategyStandard, Priority: PriorityMedium,
		DumpCycle: c.DumpCycle, Bump: c.Bump, MaxLevel: int(catalog.MaxLevel), Holding: HoldingAuto,
		MaxDumps: 1, Timeout: 30 * minute, Retries: 1, RetryDelay: 5 * minute, MaxPromote: defaultPromote,
	}
}

// derive fills in the defaults that depend on other values, and resolves relative paths against dir.
func (c *Config) derive(dir string) {
	if c.Mail.SMTP == "" && c.Mail.Sendmail == "" {
		c.Mail.Sendmail = defaultSendmail
	}
	if c.Mail.SMTP != "" && c.Mail.TLS == "" {
		c.Mail.TLS = TLSMandatory
		if isLoopback(c.Mail.SMTP) {
			c.Mail.TLS = TLSNone
		}
	}
	c.Schedule.fill()
	resolve(dir, &c.State, &c.Mail.PasswordFile)
	for i := range c.Holding {
		resolve(dir, &c.Holding[i].Dir)
	}
	for name, s := range c.Storage {
		if s.Device == DeviceRAIT && s.Parity == 0 {
			s.Parity = defaultParity
		}
		if s.PartSize == 0 {
			s.PartSize = defaultPart(s)
		}
		resolve(dir, &s.Path, &s.S3.CAFile)
		for i := range s.Members {
			resolve(dir, &s.Members[i].Path, &s.Members[i].S3.CAFile)
		}
		if s.Vault.On() && s.Vault.Dumps == "" {
			s.Vault.Dumps = VaultAll
		}
		c.Storage[name] = s
	}
	for name, t := range c.DumpTypes {
		if t.Encrypt.On() && t.Encrypt.Program == "" {
			t.Encrypt.Program = defaultProgram
		}
		resolve(dir, &t.Encrypt.Recipients)
		c.DumpTypes[name] = t
	}
	for i := range c.DLEs {
		resolve(dir, &c.DLEs[i].Image)
	}
}

// defaultPart gives a quarter of the volume, at most maxDefaultPart, in whole units of the set.
func defaultPart(s Storage) Size {
	unit := s.partUnit()
	return min(s.VolumeSize/4, maxDefaultPart) / unit * unit
}

func resolve(dir string, paths ...*string) {
	for _, p := range paths {
		switch {
		case *p == "":
		case filepath.IsAbs(*p):
			*p = filepath.Clean(*p)
		default:
			*p = filepath.Join(dir, *p)
		}
	}
}

// isLoopback tells whether HOST:PORT is this machine itself.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

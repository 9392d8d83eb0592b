package configs

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// selections checks which dumps a storage says it takes.
func (k check) selections(path string, s Storage) {
	for i, sel := range s.Select {
		at := join(join(path, "select"), strconv.Itoa(i))
		for j, name := range sel.Types {
			if _, ok := k.c.DumpTypes[name]; !ok {
				k.fail(join(join(at, "types"), strconv.Itoa(j)), problem{
					Message: fmt.Sprintf("there is no dump type %q", name), Hint: didYouMean(name, slices.Sorted(maps.Keys(k.c.DumpTypes))),
				})
			}
		}
		k.tags(join(at, "tags"), sel.Tags)
		k.usedTags(join(at, "tags"), sel.Tags)
	}
}

// tags checks a list of tags.
func (k check) tags(path string, tags []string) {
	for i, tag := range tags {
		k.must(k.oneWord(tag), join(path, strconv.Itoa(i)), fmt.Sprintf("%q is not one word", tag), "")
	}
}

// usedTags warns of tags that nothing bears: they are slips more often than plans.
func (k check) usedTags(path string, tags []string) {
	var borne []string
	for _, t := range k.c.DumpTypes {
		borne = append(borne, t.Tags...)
	}
	for _, d := range k.c.DLEs {
		borne = append(borne, d.Tags...)
	}
	slices.Sort(borne)
	for i, tag := range tags {
		if !slices.Contains(borne, tag) && k.oneWord(tag) {
			text := fmt.Sprintf("no dump type and no DLE has the tag %q", tag)
			if near := didYouMean(tag, slices.Compact(borne)); near != "" {
				text += "; " + near
			}
			k.warn(join(path, strconv.Itoa(i)), text)
		}
	}
}

// vault checks where a vault's dumps come from.
func (k check) vault(path string, s Storage) {
	at := join(path, "vault")
	if !s.Vault.On() {
		k.own(false, at, "does not say from which storage", "from: NAME")
		return
	}
	from := join(at, "from")
	source, ok := k.c.Storage[s.Vault.From]
	switch {
	case !ok:
		k.fail(from, problem{
			Message: fmt.Sprintf("there is no storage %q", s.Vault.From), Hint: didYouMean(s.Vault.From, slices.Sorted(maps.Keys(k.c.Storage))),
		})
	case s.Vault.From == s.Name:
		k.fail(from, problem{Message: "is this storage itself"})
	case source.Vault.On():
		k.fail(from, problem{Message: fmt.Sprintf("storage %s is a vault itself", source.Name), Hint: "name the storage that its dumps come from"})
	}
	k.must(s.Vault.After >= 0, join(at, "after"), "must not be negative", "")
	k.must(s.Pool == "", join(path, "pool"), "a vault is in no pool", "vaults that take turns are storages of their own, each removable")
}

func (k check) access(path string, s Storage) {
	k.must(s.Pool == "" || nameForm.MatchString(s.Pool), join(path, "pool"),
		fmt.Sprintf("%q is not a name: letters, digits, - and _, at most 64", s.Pool), "")
	k.command(join(path, "mount"), s.Mount)
	k.command(join(path, "unmount"), s.Unmount)
}

// command checks a command that is called without a shell.
func (k check) command(path string, words []string) {
	for i, word := range words {
		k.must(word != "", join(path, strconv.Itoa(i)), "is empty", "")
	}
	if len(words) == 0 || words[0] == "" {
		return
	}
	first, parts := join(path, "0"), strings.Fields(words[0])
	if len(words) == 1 && len(parts) > 1 {
		k.fail(first, problem{
			Message: fmt.Sprintf("%q is one word with blanks in it, and no shell parts it", words[0]),
			Hint:    "write [" + strings.Join(parts, ", ") + "]",
		})
		return
	}
	k.must(filepath.IsAbs(words[0]) || !strings.Contains(words[0], "/"), first,
		fmt.Sprintf("%q is neither a full path nor the bare name of a program", words[0]), "")
}

// writing checks when and how the volumes of a storage are written; see Amanda's flush-threshold and taperflush.
func (k check) writing(path string, s Storage) {
	k.must(s.RunVolumes >= 1 && s.RunVolumes <= max(s.Slots, 1), join(path, "run-volumes"),
		fmt.Sprintf("must be 1 to %d, the number of slots", max(s.Slots, 1)), "")
	k.must(s.ParallelWrite >= 1 && s.ParallelWrite <= max(s.RunVolumes, 1), join(path, "taper-parallel-write"),
		fmt.Sprintf("must be 1 to %d, the run-volumes", max(s.RunVolumes, 1)), "")
	for _, percent := range []struct {
		key   string
		value int
	}{{"flush-threshold-dumped", s.FlushDumped}, {"flush-threshold-scheduled", s.FlushScheduled}, {"taperflush", s.TaperFlush}} {
		at := join(path, percent.key)
		k.must(percent.value >= 0, at, "must be 0 or more", "0 means at once")
		k.must(percent.key == "flush-threshold-scheduled" || percent.value <= max(s.FlushScheduled, 0), at,
			fmt.Sprintf("%d is more than flush-threshold-scheduled, which is %d", percent.value, s.FlushScheduled),
			fmt.Sprintf("flush-threshold-scheduled: %d", percent.value))
	}
	if s.TaperFlush > 0 && !k.c.Autoflush {
		k.warn(join(path, "taperflush"), "without autoflush what is left on the holding disk waits for `holdfast flush`")
	}
	if len(k.c.Holding) == 0 && s.FlushDumped+s.FlushScheduled+s.TaperFlush > 0 {
		k.warn(path, "flush-threshold-dumped, flush-threshold-scheduled and taperflush do nothing without a holding disk")
	}
}

// retention checks what is kept, and warns if volumes come round again before that is over.
func (k check) retention(path string, s Storage) {
	k.must(s.KeepVolumes >= 0 && s.KeepVolumes+s.RunVolumes <= max(s.Slots, s.RunVolumes), join(path, "keep-volumes"),
		fmt.Sprintf("must be 0 to %d: %d slots less the %d that a run may fill", max(s.Slots-s.RunVolumes, 0), s.Slots, s.RunVolumes), "")
	k.must(s.KeepFulls >= 0, join(path, "keep-fulls"), "must be 0 or more", "")
	k.must(!s.NoReuse || !s.Erase, join(path, "erase"), "with no-reuse nothing is ever erased", "")
	k.enoughSlots(path, s)
}

// enoughSlots warns, as Amanda does, if volumes come round again before a dump cycle is over, and the same for the times
// that the storage is to keep. A run takes one volume at least.
func (k check) enoughSlots(path string, s Storage) {
	cycle, runs := int(k.c.DumpCycle), k.c.RunsPerCycle
	if runs == 0 {
		runs = cycle
	}
	if cycle < 1 || s.Slots < 1 {
		return // told elsewhere
	}
	if s.Slots <= runs && !s.Vault.On() {
		k.warn(join(path, "slots"), fmt.Sprintf(
			"%d slots for %d runs in a dump cycle of %s: runs will fail once all volumes hold dumps that are needed", s.Slots, runs, k.c.DumpCycle))
		return
	}
	for _, rule := range keepRules(s, cycle) {
		if need := (rule.days*runs + cycle - 1) / cycle; s.Slots <= need && rule.days > 0 {
			k.warn(join(path, rule.key), fmt.Sprintf("%d slots are not enough for it: that is about %d runs, each on a volume of its own", s.Slots, need))
			return
		}
	}
}

// keepRule is a time for which a storage keeps what was written.
type keepRule struct {
	key  string
	days int
}

// keepRules are the rules of a storage as days, the longest first. The start of a recovery window builds on fulls that are
// up to a dump cycle older.
func keepRules(s Storage, cycle int) []keepRule {
	window := int(s.RecoveryWindow)
	if window > 0 {
		window += cycle
	}
	rules := []keepRule{
		{"keep-days", int(s.KeepDays)}, {"recovery-window", window}, {"keep-fulls", s.KeepFulls * cycle},
		{"keep-full-days", int(s.KeepFullDays)}, {"s3.lock-days", int(s.S3.LockDays)},
	}
	for i, m := range s.Members {
		rules = append(rules, keepRule{"members." + strconv.Itoa(i) + ".s3.lock-days", int(m.S3.LockDays)})
	}
	if s.Vault.On() {
		rules = nil // how often something is copied to it does not stand in the configuration
	}
	slices.SortStableFunc(rules, func(a, b keepRule) int { return b.days - a.days })
	return rules
}

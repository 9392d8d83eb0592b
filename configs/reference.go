package configs

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
)

// section is one table of the reference: a struct with its defaults.
type section struct {
	title, intro string
	value        any
}

func sections() []section {
	c := defaultConfig()
	holding, storage, member, selection, dle, hook := Holding{}, Storage{}, Member{}, Selection{}, DLE{}, Hook{}
	holding.defaults()
	storage.defaults()
	member.defaults()
	selection.defaults()
	dle.defaults()
	hook.defaults()
	inspection := Inspection{Zone: localZone, CatchUp: CatchUpRun, Within: defaultWithin, Sample: defaultSample}
	return []section{
		{"The file", "", c},
		{"mail", "", Mail{Sendmail: defaultSendmail}},
		{"schedule", "How the daemon goes about it is in [daemon.md](daemon.md).", Schedule{}},
		{"schedule.run, schedule.flush, schedule.vault", "", Appointment{}.filled()},
		{"schedule.verify", "", inspection},
		{"bump", "An incremental goes from level L to L+1 when that saves at least `size` x `mult`^(L-1) bytes of image data.", c.Bump},
		{"holding, a list", "", holding},
		{"storage.NAME", storageIntro, storage},
		{"storage.NAME.s3", s3Intro, S3{}},
		{"storage.NAME.members, a list", "", member},
		{"storage.NAME.select, a list", "A dump matches an entry when it matches each key that the entry has.", selection},
		{"storage.NAME.vault", "", Vault{Dumps: VaultAll}},
		{"dump-types.NAME", "A type takes what it does not set from the one it inherits, or else from the type `default`, which always is there.", builtinType(&c)},
		{"dump-types.NAME.encrypt", "", Encrypt{Program: defaultProgram}},
		{"hooks, a list", "How hooks are run and what they are told is in [hooks.md](hooks.md).", hook},
		{"hosts, a list", "", Host{}},
		{"dles, a list", "", dle},
	}
}

const (
	storageIntro = "How to choose and set up storages is in [media.md](media.md). Each dump goes to every storage that is no vault and whose " +
		"`select` matches. The planner reckons with each. Their order counts: of a pool the first that is there is taken."
	s3Intro = "Credentials never stand here: they come from the environment, the shared credentials file or the machine's role, as " +
		"with other programs that use S3."
)

// Reference gives the reference of all keys as Markdown. It is made from the structs that the file is read into, so it
// cannot be out of date.
func Reference() string {
	var b strings.Builder
	b.WriteString(referenceHead)
	for _, s := range sections() {
		fmt.Fprintf(&b, "\n## %s\n\n", s.title)
		if s.intro != "" {
			fmt.Fprintf(&b, "%s\n\n", s.intro)
		}
		b.WriteString("| key | takes | default | meaning |\n|---|---|---|---|\n")
		v := reflect.ValueOf(s.value)
		fields, names := fieldsOf(v.Type())
		for _, name := range names {
			f := fields[name]
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, takes(f.Type), defaultText(f, v.FieldByIndex(f.Index)), f.Tag.Get("doc"))
		}
	}
	return b.String()
}

const referenceHead = `# The configuration

<!-- Made from the code by "go test ./configs -update". Do not edit. -->

One YAML file, given with ` + "`--config`" + `. A whole one with every key is
[configs/example/holdfast.yaml](../configs/example/holdfast.yaml); ` + "`holdfast init`" + ` writes one for the images it finds.
An unknown key, a wrong type or a value out of range is refused with its line and column.

- **Paths** that are relative count from the directory of the file. ` + "`~`" + ` is not expanded.
- **Sizes** are whole numbers of bytes, or have a unit: ` + "`KiB MiB GiB TiB PiB`" + ` (powers of 1024), ` + "`kB MB GB TB PB`" + `
  (powers of 1000). A bare ` + "`K M G T`" + ` is refused, since it means the one here and the other there.
- **Days** are calendar days, ` + "`7d`" + ` or ` + "`2w`" + `, never 24 hours.
- **Secrets** never stand in the file: it names the files that hold them.
- Anchors, aliases, merge keys and tags of YAML are not used.
`

// takes says in words what a key of this type takes.
func takes(t reflect.Type) string {
	switch v := reflect.Zero(t).Interface().(type) {
	case Size:
		return "size"
	case Days:
		return "days"
	case Clock:
		return "time of day"
	case DumpOrder:
		return "letters"
	case Window:
		return "times of day"
	case CronLine:
		return "line of cron"
	case Zone:
		return "time zone"
	case Share:
		return "percent"
	case Duration:
		return "time"
	case Priority:
		return "`" + strings.Join(priorityWords, "`, `") + "` or number"
	case Encrypt:
		return "keys, or `none`"
	case word:
		return "`" + strings.Join(v.words(), "`, `") + "`"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "whole number"
	case reflect.Float64:
		return "number"
	case reflect.Slice:
		return "list"
	case reflect.Map:
		return "names"
	case reflect.Struct:
		return "keys"
	}
	return "text"
}

// defaultText gives a default as it would stand in the file.
func defaultText(f reflect.StructField, v reflect.Value) string {
	if f.Tag.Get("jsonschema") == "required" {
		return "needed"
	}
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		if text, err := m.MarshalText(); err == nil {
			return "`" + string(text) + "`"
		}
	}
	switch v.Kind() {
	case reflect.Struct, reflect.Map, reflect.Slice:
		return ""
	}
	if text := fmt.Sprint(v.Interface()); text != "" {
		return "`" + text + "`"
	}
	return ""
}

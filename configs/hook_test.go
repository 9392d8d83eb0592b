package configs_test

import (
	"slices"
	"testing"

	"holdfast/catalog"
	"holdfast/configs"
)

const hooked = `
state: s
storage: {v: {path: v, slots: 2, volume-size: 1MiB, label: "V-%"}}
hooks:
  - {name: late, when: [pre-dle-backup, post-dle-backup], command: [/b/late], order: 6000}
  - {name: top, when: [pre-dle-backup], command: [/b/top]}
  - {name: once, when: [pre-backup, post-host-backup], command: [/b/once]}
hosts:
  - {vm: db01, hooks: [{name: host, when: [post-dle-backup, pre-host-backup], command: [/b/host]}]}
dump-types:
  sql: {hooks: [{when: [pre-dle-backup], command: [/b/of-type, x]}]}
  more: {inherit: sql}
  bare: {inherit: sql, hooks: []}
dles:
  - {vm: db01, disk: a, image: a, format: raw, type: more, hooks: [{name: first, when: [pre-dle-backup], command: [/b/first], order: 0}, {name: dle, when: [pre-dle-backup, pre-dle-check], command: [/b/dle], timeout: 1h30m}]}
  - {vm: web01, disk: b, image: b, format: raw, type: bare}
`

// The hooks of a moment come by their order, and at the same order from the widest place to the narrowest.
func TestHooksOf(t *testing.T) {
	c, err := configs.Parse("hf.yaml", []byte(hooked))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		level  configs.HookLevel
		moment configs.HookMoment
		dle    catalog.DLE
		want   []string
	}{
		{configs.HookDLE, configs.HookBackup, catalog.DLE{VM: "db01", Disk: "a"}, []string{"first", "top", "host", "of-type", "dle", "late"}},
		{configs.HookDLE, configs.HookBackup, catalog.DLE{VM: "web01", Disk: "b"}, []string{"top", "late"}},
		{configs.HookDLE, configs.HookBackup, catalog.DLE{VM: "db01", Disk: "gone"}, []string{"top", "host", "late"}},
		{configs.HookDLE, configs.HookCheck, catalog.DLE{VM: "db01", Disk: "a"}, []string{"dle"}},
		{configs.HookHost, configs.HookBackup, catalog.DLE{VM: "db01"}, []string{"once", "host"}},
		{configs.HookHost, configs.HookBackup, catalog.DLE{VM: "web01"}, []string{"once"}},
		{configs.HookRun, configs.HookBackup, catalog.DLE{}, []string{"once"}},
		{configs.HookRun, configs.HookRestore, catalog.DLE{}, nil},
	} {
		var got []string
		dle, ok := c.Find(test.dle)
		if !ok {
			dle.VM = test.dle.VM
		}
		for _, h := range c.HooksOf(test.level, test.moment, dle) {
			got = append(got, h.Title())
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s of %q %v: %q, want %q", test.moment, test.level, test.dle, got, test.want)
		}
	}
	if got := len(c.AllHooks()); got != 7 {
		t.Errorf("%d hooks in all, want 7", got)
	}
}

func TestDuration(t *testing.T) {
	for text, want := range map[string]string{
		"90s": "1m30s", "10m": "10m", "60m": "1h", "1h30m": "1h30m", "24h": "24h", "1h0m5s": "1h0m5s", "0s": "0s",
		"": "", "10": "", "1.5h": "", "-1s": "", "10ms": "", "1d": "", "100000h100000m": "",
	} {
		var d configs.Duration
		err := d.UnmarshalText([]byte(text))
		if want == "" && err == nil || want != "" && (err != nil || d.String() != want) {
			t.Errorf("%q: %s, %v, want %q", text, d, err, want)
		}
	}
}

// Each word says when it is meant.
func TestHookEvent(t *testing.T) {
	for word, want := range map[configs.HookEvent]configs.HookEvent{
		"pre-backup": configs.Pre(configs.HookRun, configs.HookBackup), "post-host-check": configs.Post(configs.HookHost, configs.HookCheck),
		"post-dle-restore": configs.Post(configs.HookDLE, configs.HookRestore),
	} {
		if word != want || configs.Pre(word.Level(), word.Moment()) != configs.Pre(want.Level(), want.Moment()) {
			t.Errorf("%s is %s %s, want %s", word, word.Level(), word.Moment(), want)
		}
	}
	if e := configs.HookEvent("post-dle-restore"); e.Level() != configs.HookDLE || e.Moment() != configs.HookRestore {
		t.Errorf("%s: level %s, moment %s", e, e.Level(), e.Moment())
	}
}

package run_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/catalog"
	"holdfast/configs"
	"holdfast/internal/s3test"
	"holdfast/internal/vfs"
	"holdfast/scheduler/run"
	"holdfast/vtape"
	"holdfast/vtape/devicetest"
)

// The same of each kind of storage: what its library promises to those above.
func TestLibraryConformance(t *testing.T) {
	s3test.Login(t)
	server := s3test.Start(t)
	server.Bucket(t, "volumes", false)
	bucket := configs.S3{Bucket: "volumes", Endpoint: server.URL, PathStyle: true, PieceSize: 5 * configs.MiB}
	other := bucket
	bucket.Prefix, other.Prefix = "alone/", "member/"
	for name, st := range map[string]configs.Storage{
		"dir":    {Device: configs.DeviceDir, Path: "/v"},
		"s3":     {Device: configs.DeviceS3, S3: bucket},
		"mirror": {Device: configs.DeviceRAIT, Parity: 1, Members: members("/a", "/b")},
		"rait":   {Device: configs.DeviceRAIT, Parity: 1, Members: append(members("/a", "/b"), configs.Member{Device: configs.DeviceS3, S3: other})},
	} {
		t.Run(name, func(t *testing.T) {
			st.Name, st.Slots, st.VolumeSize, st.PartSize, st.Label = "night", 4, 16*configs.MiB, 4*configs.MiB, "N-%%"
			conform(t, run.Opener{FS: vfs.NewMem(), Now: time.Now}, st)
		})
	}
}

func members(paths ...string) []configs.Member {
	var list []configs.Member
	for _, p := range paths {
		list = append(list, configs.Member{Device: configs.DeviceDir, Path: p})
	}
	return list
}

func conform(t *testing.T, o run.Opener, st configs.Storage) {
	ctx := context.Background()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := o.Open(ctx, st); !errors.Is(err, vtape.ErrAbsent) {
		t.Fatalf("open before it was made: %v", err)
	}
	must(o.Create(ctx, st))
	lib, err := o.Open(ctx, st)
	must(err)
	dev, err := lib.LoadForWriting(ctx, "2")
	must(err)
	must(dev.Format(ctx, devicetest.Label("N-01")))
	devicetest.Write(t, dev, 1, devicetest.Header(1), make([]byte, 256<<10))
	must(o.Create(ctx, st)) // again, and nothing is lost
	lib, err = o.Open(ctx, st)
	must(err)
	inv, err := lib.Inventory(ctx)
	must(err)
	var got []string
	for _, i := range inv {
		got = append(got, fmt.Sprintf("%s %t %s %d %v", i.Slot, i.Blank, i.Label, i.Files, i.Err))
	}
	if want := []string{"1 true  0 <nil>", "2 false N-01 1 <nil>", "3 true  0 <nil>", "4 true  0 <nil>"}; !slices.Equal(got, want) {
		t.Errorf("inventory %q, want %q", got, want)
	}
	if slot, _, err := lib.Load(ctx, "N-01"); err != nil || slot != "2" {
		t.Errorf("load: slot %s, %v", slot, err)
	}
	if _, _, err := lib.Load(ctx, "N-09"); !errors.Is(err, vtape.ErrAbsent) {
		t.Errorf("load what is not there: %v", err)
	}
	if _, err := lib.LoadForWriting(ctx, "5"); err == nil {
		t.Error("a slot that is not there was loaded for writing")
	}
	if label, err := lib.NextLabel([]catalog.Label{"N-01"}); err != nil || label != "N-02" {
		t.Errorf("next label %s, %v", label, err)
	}
	stranger := st
	stranger.Name = "stranger"
	if _, err := o.Open(ctx, stranger); err == nil {
		t.Error("opened for another storage")
	}
	if err := o.Create(ctx, stranger); err == nil {
		t.Error("made for another storage")
	}
}

// A member of a set may be away: it is told, and the set is there.
func TestMemberAway(t *testing.T) {
	ctx := context.Background()
	m := vfs.NewMem()
	var notes []string
	o := run.Opener{FS: m, Now: time.Now, Note: func(text string) { notes = append(notes, text) }}
	st := configs.Storage{
		Name: "night", Device: configs.DeviceRAIT, Parity: 1, Members: members("/a", "/b", "/c"), Slots: 2,
		VolumeSize: 16 * configs.MiB, PartSize: configs.MiB, Label: "N-%%",
	}
	if err := o.Create(ctx, st); err != nil {
		t.Fatal(err)
	}
	if err := vfs.RemoveAll(m, "/b"); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Open(ctx, st); err != nil || !strings.Contains(strings.Join(notes, "\n"), "storage night: member /b") {
		t.Errorf("one member away: %v, notes %q", err, notes)
	}
	if err := vfs.RemoveAll(m, "/c"); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Open(ctx, st); !errors.Is(err, vtape.ErrAbsent) {
		t.Errorf("two members away: %v", err)
	}
}

// A mount command is called once when the library is away, and the unmount command when it was used. What a command says is
// in the error.
func TestMounts(t *testing.T) {
	ctx := context.Background()
	m := vfs.NewMem()
	st := configs.Storage{
		Name: "stick", Device: configs.DeviceDir, Path: "/stick", Slots: 1, Label: "S-%", VolumeSize: configs.MiB,
		Mount: []string{"mount", "/stick"}, Unmount: []string{"umount", "/stick"},
	}
	var called []string
	broken := errors.New("exit status 32")
	o := run.Opener{FS: m, Now: time.Now, Mounts: run.NewMounts(func(_ context.Context, words []string) ([]byte, error) {
		called = append(called, strings.Join(words, " "))
		if words[0] == "mount" && broken != nil {
			return []byte("no such disk\n"), broken
		}
		return nil, run.Opener{FS: m}.Create(ctx, st)
	})}
	for range 2 {
		_, err := o.Open(ctx, st)
		if !errors.Is(err, vtape.ErrAbsent) || !errors.Is(err, broken) || !strings.Contains(err.Error(), "no such disk") {
			t.Errorf("no disk: %v", err)
		}
	}
	if err := o.Mounts.Release(ctx); err != nil {
		t.Error(err)
	}
	broken = nil
	if _, err := o.Open(ctx, st); err != nil {
		t.Error(err)
	}
	if err := o.Mounts.Release(ctx); err != nil {
		t.Error(err)
	}
	if want := []string{"mount /stick", "mount /stick", "umount /stick"}; !slices.Equal(called, want) {
		t.Errorf("called %q, want %q", called, want)
	}
}

// An inventory of a bucket asks for all slots at once and for the labels that are there, not for each slot.
func TestBucketInventoryRequests(t *testing.T) {
	s3test.Login(t)
	server := s3test.Start(t)
	server.Bucket(t, "volumes", false)
	proxy := s3test.NewProxy(t, server)
	st := configs.Storage{
		Name: "night", Device: configs.DeviceS3, Slots: 200, VolumeSize: 16 * configs.MiB, PartSize: 4 * configs.MiB, Label: "N-%%%",
		S3: configs.S3{Bucket: "volumes", Endpoint: proxy.URL, PathStyle: true, PieceSize: 5 * configs.MiB},
	}
	o := run.Opener{FS: vfs.NewMem(), Now: time.Now}
	if err := o.Create(t.Context(), st); err != nil {
		t.Fatal(err)
	}
	lib, err := o.Open(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	for _, slot := range []string{"7", "8", "120"} {
		dev, err := lib.LoadForWriting(t.Context(), slot)
		if err != nil {
			t.Fatal(err)
		}
		if err := dev.Format(t.Context(), devicetest.Label(catalog.Label("N-"+slot))); err != nil {
			t.Fatal(err)
		}
		devicetest.Write(t, dev, 1, devicetest.Header(1), []byte("x"))
	}
	proxy.Plan(nil)
	inv, err := lib.Inventory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := len(proxy.Requests()); n != 4 {
		t.Errorf("%d requests for 200 slots with 3 volumes, want 4: %+v", n, proxy.Requests())
	}
	for i, info := range inv {
		written := slices.Contains([]string{"7", "8", "120"}, info.Slot)
		if info.Slot != fmt.Sprint(i+1) || info.Err != nil || info.Blank == written || written && (info.Files != 1 || info.Label != catalog.Label("N-"+info.Slot)) {
			t.Errorf("slot %+v", info)
		}
	}
	if len(inv) != 200 {
		t.Errorf("%d slots", len(inv))
	}
}

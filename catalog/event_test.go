package catalog_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/catalog"
)

// bodies holds one of each kind; TestEventKinds sees to it that none is forgotten.
var bodies = []catalog.EventBody{
	catalog.RunStarted{}, catalog.Planned{}, catalog.Skipped{}, catalog.PlanFinished{}, catalog.DumpStarted{}, catalog.DumpProgress{},
	catalog.DumpFinished{}, catalog.DumpFailed{}, catalog.DumpWaits{}, catalog.DriverState{}, catalog.VolumeStarted{}, catalog.PartWritten{}, catalog.CopyFinished{}, catalog.CopyFailed{},
	catalog.VolumeFinished{}, catalog.MediaError{}, catalog.VolumeDegraded{}, catalog.StorageChanged{}, catalog.Degraded{}, catalog.Note{}, catalog.HoldingLeft{}, catalog.NextVolumes{}, catalog.RunFinished{},
}

// Every kind comes back from its JSON as it was, with every field filled and with none.
func TestEventRoundTrip(t *testing.T) {
	for _, empty := range bodies {
		full := reflect.New(reflect.TypeOf(empty)).Elem()
		fill(t, full)
		for _, body := range []catalog.EventBody{empty, full.Interface().(catalog.EventBody)} {
			data, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			got, err := catalog.DecodeEvent(body.Kind(), data)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(body, got); diff != "" {
				t.Errorf("%s: -want +got:\n%s", body.Kind(), diff)
			}
		}
	}
}

// fill gives each field a value of its own.
func fill(t *testing.T, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Tag.Get("json") == "" {
				t.Errorf("%s.%s has no name in JSON", v.Type(), v.Type().Field(i).Name)
			}
			fill(t, v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(t, v.Index(0))
		fill(t, v.Index(1))
	case reflect.String:
		v.SetString("ü\"\n" + v.Type().Name())
	case reflect.Int, reflect.Int64:
		v.SetInt(1<<53 + 1)
	case reflect.Float64:
		v.SetFloat(0.1)
	case reflect.Bool:
		v.SetBool(true)
	default:
		t.Fatalf("a field of kind %s", v.Kind())
	}
}

// The source is asked which kinds there are, so that a new one cannot miss its decoder.
func TestEventKinds(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, b := range bodies {
		known[reflect.TypeOf(b).Name()] = true
	}
	seen := 0
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Name.Name != "Kind" {
			continue
		}
		seen++
		if name := f.Recv.List[0].Type.(*ast.Ident).Name; !known[name] {
			t.Errorf("%s is not among the bodies tested", name)
		}
	}
	if seen != len(bodies) {
		t.Errorf("%d kinds in event.go, %d tested", seen, len(bodies))
	}
}

func TestDecodeEventRefuses(t *testing.T) {
	for _, c := range []struct{ kind, data, want string }{
		{"teleported", `{}`, `event kind "teleported": unknown`},
		{"note", `{`, `event kind "note": `},
		{"note", `{"text": 3}`, `event kind "note": `},
	} {
		if _, err := catalog.DecodeEvent(c.kind, []byte(c.data)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.data, err, c.want)
		}
	}
}

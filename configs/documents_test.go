package configs_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"holdfast/configs"
)

const example = "example/holdfast.yaml"

// The reference and the schema in docs/ are those that the code makes; -update writes them.
func TestDocuments(t *testing.T) {
	schema, err := configs.Schema()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"../docs/configuration.md":          configs.Reference(),
		"../docs/configuration.schema.json": string(schema),
	} {
		if *update {
			if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s is out of date: go test ./configs -update (-want +got):\n%s", name, diff)
		}
	}
}

// keys calls visit for each key of a struct type and of those below it.
func keys(t reflect.Type, visit func(reflect.StructField, string)) {
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name == "-" {
			continue
		}
		visit(f, name)
		below := f.Type
		for below.Kind() == reflect.Slice || below.Kind() == reflect.Map {
			below = below.Elem()
		}
		if below.Kind() == reflect.Struct {
			keys(below, visit)
		}
	}
}

// Every key has a text for the reference, and a place in the example.
func TestEveryKey(t *testing.T) {
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	keys(reflect.TypeFor[configs.Config](), func(f reflect.StructField, name string) {
		if doc := f.Tag.Get("doc"); !strings.HasSuffix(doc, ".") || strings.ContainsAny(doc, "|\n") {
			t.Errorf("%s (%s): no text, or not a sentence: %q", f.Name, name, doc)
		}
		if !bytes.Contains(text, []byte(name+":")) {
			t.Errorf("%s: not in %s", name, example)
		}
	})
}

// The example is sound, without warnings, and so is what its schema says of it and of what `config show` makes of it.
func TestExample(t *testing.T) {
	c, err := configs.Load(example, os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings) > 0 {
		t.Errorf("warnings: %q", c.Warnings)
	}
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	effective, err := c.Effective()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range [][]byte{text, effective} {
		if err := compileSchema(t).Validate(asJSON(t, text)); err != nil {
			t.Errorf("schema: %v\n%s", err, text)
		}
	}
}

// The schema knows the slips that an editor is to underline.
func TestSchemaRefuses(t *testing.T) {
	schema := compileSchema(t)
	for _, snippet := range []string{
		"dump-cycle: 7", "colour: red", "bump: {size: 10G}", "in-parallel: four", "send-report-on: some",
		"dump-types: {default: {encrypt: age}}", "dump-types: {default: {encrypt: {}}}",
		"dump-types: {default: {priority: top}}", "dles: [{vm: a}]", "mailto: root",
	} {
		if err := schema.Validate(asJSON(t, completed("", []byte(snippet+"\n")))); err == nil {
			t.Errorf("%s: the schema takes it", snippet)
		}
		if _, err := configs.Parse("hf.yaml", completed("", []byte(snippet+"\n"))); err == nil {
			t.Errorf("%s: Parse takes it", snippet)
		}
	}
}

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := configs.Schema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("configuration.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("configuration.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func asJSON(t *testing.T, text []byte) any {
	t.Helper()
	var value any
	if err := yaml.Unmarshal(text, &value); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	value, err = jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// What `config show` prints says the same as what was read.
func TestEffective(t *testing.T) {
	sources := map[string][]byte{"defaults": completed("", nil)}
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	sources["example"] = text
	sources["odd words"] = completed("", []byte(`
org: "null # {}"
mailto: ['"a: b" <x@example.org>', "true", "007"]
dles: [{vm: "0x10", disk: "~", image: "# no: comment", format: raw}, {vm: "yes", disk: "*", image: "7", format: raw}]
`))
	for name, text := range sources {
		c, err := configs.Parse("/c/hf.yaml", text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		effective, err := c.Effective()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		again, err := configs.Parse("/c/hf.yaml", effective)
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, effective)
			continue
		}
		if diff := cmp.Diff(c, again, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-read +again):\n%s\n%s", name, diff, effective)
		}
	}
}

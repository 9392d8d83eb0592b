package reports_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"

	"holdfast/catalog"
	"holdfast/reports"
)

// words are the values that a type of text may have.
var words = map[reflect.Type][]any{
	reflect.TypeFor[reports.RunStatus](): {reports.RunDone, reports.RunRunning, reports.RunAborted},
	reflect.TypeFor[reports.FailureKind](): {reports.FailureProblem, reports.FailureMedia, reports.FailureMissing, reports.FailureLate,
		reports.FailureSkipped, reports.FailureDump, reports.FailureCopy, reports.FailureWillRetry, reports.FailureRetried},
	reflect.TypeFor[reports.RowStatus](): {reports.RowDumped, reports.RowStrange, reports.RowFailed, reports.RowFlush, reports.RowVault, reports.RowNotFlushed,
		reports.RowMissing, reports.RowSkipped, reports.RowPending},
	reflect.TypeFor[catalog.HookOutcome](): {catalog.HookOK, catalog.HookVetoed, catalog.HookFailed, catalog.HookCancelled},
	reflect.TypeFor[catalog.Status]():      {catalog.StatusOK, catalog.StatusStrange, catalog.StatusPartial, catalog.StatusFailed},
}

// reflectSchema makes the schema from the types, so that the two cannot part.
func reflectSchema(t *testing.T) []byte {
	t.Helper()
	r := jsonschema.Reflector{Anonymous: true, Mapper: func(typ reflect.Type) *jsonschema.Schema {
		if enum, ok := words[typ]; ok {
			return &jsonschema.Schema{Type: "string", Enum: enum}
		}
		if typ == reflect.TypeFor[catalog.Stamp]() {
			return &jsonschema.Schema{Type: "string", Pattern: "^[0-9]{14}$"}
		}
		return nil
	}}
	s := r.Reflect(reports.Report{})
	s.Title = "holdfast report"
	s.Description = "What a run did. Sizes are bytes, durations seconds."
	if def := s.Definitions["Report"]; def != nil {
		version, _ := def.Properties.Get("version")
		version.Const = reports.SchemaVersion
	}
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

func compileSchema(t *testing.T) *validator.Schema {
	t.Helper()
	file, err := os.Open("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	doc, err := validator.UnmarshalJSON(file)
	if err != nil {
		t.Fatal(err)
	}
	c := validator.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("report.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("report.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(s *validator.Schema, text []byte) error {
	doc, err := validator.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return s.Validate(doc)
}

// TestSchema holds the schema to the types, and the reports to the schema.
func TestSchema(t *testing.T) {
	golden(t, filepath.Join("..", "schema.json"), reflectSchema(t))
	s := compileSchema(t)
	for _, sc := range scenarios {
		n := sc.night()
		for _, r := range []reports.Report{n.report(), reports.FoldRunning(n.run, n.events), reports.Fold(n.run, nil)} {
			var b bytes.Buffer
			if err := reports.JSON(&b, r); err != nil {
				t.Fatal(err)
			}
			if err := validate(s, b.Bytes()); err != nil {
				t.Errorf("%s: %v", sc.name, err)
			}
		}
	}
}

// TestSchemaRefuses shows that the schema is one: what no report may hold does not fit.
func TestSchemaRefuses(t *testing.T) {
	s := compileSchema(t)
	var b bytes.Buffer
	if err := reports.JSON(&b, failuresNight().report()); err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{
		{`"version": 1`, `"version": 2`},
		{`"exit_status": 21`, `"exit_status": "21"`},
		{`"kind": "dump"`, `"kind": "dumb"`},
		{`"stamp": "20261102190905"`, `"stamp": "yesterday"`},
		{`"notes": [`, `"remarks": [`},
		{`"status": "done"`, `"status": "finished"`},
	} {
		text := strings.Replace(b.String(), change[0], change[1], 1)
		if text == b.String() {
			t.Errorf("%s is not in the report", change[0])
		}
		if validate(s, []byte(text)) == nil {
			t.Errorf("%s instead of %s fits the schema", change[1], change[0])
		}
	}
}

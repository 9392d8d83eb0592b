package reports

import (
	_ "embed"
	"encoding/json"
	"io"
)

//go:embed schema.json
var schema []byte

// JSON writes the report as one JSON object that fits Schema.
func JSON(w io.Writer, r Report) error { return writeJSON(w, r) }

// Schema is the JSON Schema (draft 2020-12) of what JSON writes.
func Schema() []byte { return append([]byte(nil), schema...) }

func writeJSON(w io.Writer, value any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(value)
}

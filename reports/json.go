package reports

import (
	"encoding/json"
	"io"
)

// JSON writes the report as one JSON object that fits schema.json, a JSON Schema (draft 2020-12).
func JSON(w io.Writer, r Report) error { return writeJSON(w, r) }

func writeJSON(w io.Writer, value any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(value)
}

package configs

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/invopop/jsonschema"
)

// Schema gives the JSON Schema of the configuration, with which editors complete and check it. What spans several
// keys, only Parse checks.
func Schema() ([]byte, error) {
	r := jsonschema.Reflector{
		Anonymous:                  true,
		ExpandedStruct:             true,
		RequiredFromJSONSchemaTags: true,
		FieldNameTag:               "yaml",
		Mapper:                     scalarSchema,
		LookupComment: func(t reflect.Type, field string) string {
			if t.Kind() != reflect.Struct {
				return ""
			}
			f, _ := t.FieldByName(field)
			return f.Tag.Get("doc")
		},
	}
	s := r.ReflectFromType(reflect.TypeFor[Config]())
	s.Title = "Configuration of holdfast"
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write schema: %w", err)
	}
	return append(text, '\n'), nil
}

// scalarSchema gives the schema of the types that are one value in YAML, and nil for others.
func scalarSchema(t reflect.Type) *jsonschema.Schema {
	switch v := reflect.Zero(t).Interface().(type) {
	case Size:
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
			{Type: "integer"}, {Type: "string", Pattern: `^-?[0-9]+(\.[0-9]+)? *[KkMmGgTtPp][Ii]?[Bb]$`},
		}}
	case Days:
		return &jsonschema.Schema{Type: "string", Pattern: daysForm.String()}
	case Duration:
		return &jsonschema.Schema{Type: "string", Pattern: durationForm.String()}
	case CronLine:
		return &jsonschema.Schema{Type: "string"}
	case Zone:
		return &jsonschema.Schema{Type: "string", Pattern: zoneForm.String()}
	case Share:
		return &jsonschema.Schema{Type: "string", Pattern: shareForm.String()}
	case Clock:
		return &jsonschema.Schema{Type: "string", Pattern: clockForm.String()}
	case DumpOrder:
		return &jsonschema.Schema{Type: "string", Pattern: dumpOrderForm.String()}
	case Window:
		return &jsonschema.Schema{Type: "string", Pattern: windowForm.String()}
	case Priority:
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
			{Type: "integer", Minimum: "0"}, {Type: "string", Enum: anys(priorityWords)},
		}}
	case word:
		return &jsonschema.Schema{Type: "string", Enum: anys(v.words())}
	}
	return nil
}

// JSONSchemaExtend allows the word none instead of the keys.
func (Encrypt) JSONSchemaExtend(s *jsonschema.Schema) {
	keys := *s
	*s = jsonschema.Schema{OneOf: []*jsonschema.Schema{{Const: "none"}, &keys}}
}

func anys(words []string) []any {
	values := make([]any, len(words))
	for i, w := range words {
		values[i] = w
	}
	return values
}

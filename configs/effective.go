package configs

import (
	"fmt"

	"github.com/goccy/go-yaml"
)

// Effective gives the configuration with every default filled in and every path resolved, as YAML that Parse reads to
// the same values. Dump types stand complete, without `inherit`, and storages in the order of the file, which counts.
func (c *Config) Effective() ([]byte, error) {
	inOrder := yaml.CustomMarshaler(func(map[string]Storage) ([]byte, error) {
		var entries yaml.MapSlice
		for _, s := range c.Storages() {
			entries = append(entries, yaml.MapItem{Key: s.Name, Value: s})
		}
		return yaml.MarshalWithOptions(entries, yaml.IndentSequence(true))
	})
	text, err := yaml.MarshalWithOptions(c, yaml.IndentSequence(true), inOrder)
	if err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	return text, nil
}

// MarshalYAML gives the word none, or the two keys.
func (e Encrypt) MarshalYAML() (any, error) {
	if !e.On() {
		return "none", nil
	}
	type keys Encrypt // without this method
	return keys(e), nil
}

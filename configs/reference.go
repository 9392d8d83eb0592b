package configs

import "errors"

// Effective gives the configuration with every default filled in, as YAML that parses to the same Config.
func (c *Config) Effective() ([]byte, error) { return nil, errors.New("not yet") }

// Reference gives the reference of all keys as Markdown.
func Reference() string { return "" }

// Schema gives the JSON Schema of the configuration, for editors.
func Schema() ([]byte, error) { return nil, errors.New("not yet") }

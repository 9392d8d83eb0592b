package main

import (
	"encoding/json"
	"io"

	"github.com/urfave/cli/v2"
)

// output remembers that something could not be written, so that no command needs to look after each line.
type output struct {
	io.Writer
	err error
}

// Write writes through.
func (o *output) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	if o.err == nil {
		o.err = err
	}
	return n, err
}

func jsonFlag() cli.Flag { return &cli.BoolFlag{Name: "json", Usage: "answer in JSON, for programs"} }

func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

package qmp

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
)

// schemaEntry is an entity of query-qmp-schema, as far as it is needed. Names of types are numbers without meaning there:
// one gets from a command to what it takes by following them.
type schemaEntry struct {
	Name    string `json:"name"`
	Meta    string `json:"meta-type"`
	ArgType string `json:"arg-type"`
	Members []struct {
		Name string `json:"name"`
		Type string `json:"type"`
	} `json:"members"`
	Values []string `json:"values"`
}

// BlockDrivers lists the block drivers that blockdev-add takes: "snapshot-access" and "copy-before-write" among them show
// what QEMU can do.
func (c *Client) BlockDrivers(ctx context.Context) ([]string, error) {
	// Members of alternates are no strings' business: they are decoded as far as they fit.
	var raw []json.RawMessage
	if err := c.Execute(ctx, "query-qmp-schema", nil, &raw); err != nil {
		return nil, err
	}
	entries := map[string]schemaEntry{}
	for _, r := range raw {
		var e schemaEntry
		if err := json.Unmarshal(r, &e); err == nil {
			entries[e.Name] = e
		}
	}
	for _, m := range entries[entries["blockdev-add"].ArgType].Members {
		if m.Name == "driver" && len(entries[m.Type].Values) > 0 {
			return entries[m.Type].Values, nil
		}
	}
	return nil, errors.New("qmp: query-qmp-schema: blockdev-add takes no driver")
}

// CanSnapshotAccess tells whether a point of time can be read beside a running guest without its writes depending on it:
// the drivers copy-before-write (with on-cbw-error, from 7.1) and snapshot-access.
func (c *Client) CanSnapshotAccess(ctx context.Context) (bool, error) {
	drivers, err := c.BlockDrivers(ctx)
	return c.Version.AtLeast(7, 1) && slices.Contains(drivers, "copy-before-write") && slices.Contains(drivers, "snapshot-access"), err
}

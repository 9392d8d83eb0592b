package qmp

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// EventExportDeleted is raised when an export is gone: only then is its node free.
const EventExportDeleted = "BLOCK_EXPORT_DELETED"

// StartNBD starts the NBD server (QEMU has one) on a Unix socket.
func (c *Client) StartNBD(ctx context.Context, socket string, connectionsMax int) error {
	return c.Execute(ctx, "nbd-server-start", map[string]any{
		"addr":            map[string]any{"type": "unix", "data": map[string]any{"path": socket}},
		"max-connections": connectionsMax,
	}, nil)
}

// StopNBD stops the NBD server, its exports and the connections with it.
func (c *Client) StopNBD(ctx context.Context) error {
	return c.Execute(ctx, "nbd-server-stop", nil, nil)
}

// Export is a node shown by the NBD server.
type Export struct {
	ID   string `json:"id"`
	Node string `json:"node-name"`
	// Name the client asks for; the node's when empty.
	Name     string `json:"name,omitempty"`
	Writable bool   `json:"writable,omitempty"`
	// Bitmaps are shown as meta contexts "qemu:dirty-bitmap:NAME". One that records is refused on a read-only export.
	// An element is a name, or a BitmapRef for one on another node.
	Bitmaps []any `json:"bitmaps,omitempty"`
}

// AddExport adds an NBD export.
func (c *Client) AddExport(ctx context.Context, e Export) error {
	return c.Execute(ctx, "block-export-add", struct {
		Type string `json:"type"`
		Export
	}{"nbd", e}, nil)
}

// ExportIDs lists the exports.
func (c *Client) ExportIDs(ctx context.Context) ([]string, error) {
	var list []struct {
		ID string `json:"id"`
	}
	if err := c.Execute(ctx, "query-block-exports", nil, &list); err != nil {
		return nil, err
	}
	ids := make([]string, len(list))
	for i, e := range list {
		ids[i] = e.ID
	}
	return ids, nil
}

// RemoveExport removes an export, with its clients' connections, and returns when it is gone. One that is not there is.
func (c *Client) RemoveExport(ctx context.Context, id string) error {
	events := c.Subscribe(EventExportDeleted)
	defer func() { events.Close() }()
	err := c.Execute(ctx, "block-export-del", map[string]any{"id": id, "mode": "hard"}, nil)
	for {
		ids, listErr := c.ExportIDs(ctx)
		if listErr != nil {
			return errors.Join(err, listErr)
		}
		if !slices.Contains(ids, id) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, waitErr := events.Next(ctx); errors.Is(waitErr, ErrEventsLost) {
			events = c.Subscribe(EventExportDeleted)
		} else if waitErr != nil {
			return fmt.Errorf("wait for the end of export %s: %w", id, waitErr)
		}
	}
}

package qmp

import "context"

// States of a VM that matter here; there are more.
const (
	StateRunning = "running"
	StatePaused  = "paused"
	// StateIOError: QEMU stopped the guest because a disk refused a request. It stays stopped until Cont.
	StateIOError = "io-error"
)

// Status is whether a guest runs, and if not, why.
type Status struct {
	Running bool   `json:"running"`
	State   string `json:"status"`
}

// Status asks whether the guest runs.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	return s, c.Execute(ctx, "query-status", nil, &s)
}

// Stop stops the guest's processors.
func (c *Client) Stop(ctx context.Context) error { return c.Execute(ctx, "stop", nil, nil) }

// Cont lets a stopped guest go on.
func (c *Client) Cont(ctx context.Context) error { return c.Execute(ctx, "cont", nil, nil) }

// Quit ends QEMU in good order: bitmaps are saved.
func (c *Client) Quit(ctx context.Context) error { return c.Execute(ctx, "quit", nil, nil) }

// Name is the name the VM was given, and its UUID; either may be empty.
func (c *Client) Name(ctx context.Context) (name, uuid string, err error) {
	var n struct {
		Name string `json:"name"`
	}
	var u struct {
		UUID string `json:"UUID"`
	}
	if err := c.Execute(ctx, "query-name", nil, &n); err != nil {
		return "", "", err
	}
	return n.Name, u.UUID, c.Execute(ctx, "query-uuid", nil, &u)
}

// SetProperty sets a property of an object by its path, for example the drive of "/machine/peripheral/disk0".
func (c *Client) SetProperty(ctx context.Context, path, property string, value any) error {
	return c.Execute(ctx, "qom-set", map[string]any{"path": path, "property": property, "value": value}, nil)
}

// Property reads a property of an object into result.
func (c *Client) Property(ctx context.Context, path, property string, result any) error {
	return c.Execute(ctx, "qom-get", map[string]any{"path": path, "property": property}, result)
}

// Commands lists the commands QEMU has.
func (c *Client) Commands(ctx context.Context) ([]string, error) {
	var list []struct {
		Name string `json:"name"`
	}
	if err := c.Execute(ctx, "query-commands", nil, &list); err != nil {
		return nil, err
	}
	names := make([]string, len(list))
	for i, item := range list {
		names[i] = item.Name
	}
	return names, nil
}

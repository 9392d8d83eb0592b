package qga

import (
	"context"
	"fmt"
)

// Status is whether the guest's file systems are frozen, as the agent remembers: also one that was started anew since.
type Status string

// The statuses.
const (
	Frozen Status = "frozen"
	Thawed Status = "thawed"
)

// Info is what the agent says of itself.
type Info struct {
	Version  string    `json:"version"`
	Commands []Command `json:"supported_commands"`
}

// Command is a command of the agent. While file systems are frozen most are not enabled.
type Command struct {
	Name    string `json:"name"`
	Enabled bool   `json:"enabled"`
}

// FileSystem is a mounted file system of the guest.
type FileSystem struct {
	Name       string      `json:"name"`
	Mountpoint string      `json:"mountpoint"`
	Type       string      `json:"type"`
	UsedBytes  int64       `json:"used-bytes"`
	TotalBytes int64       `json:"total-bytes"`
	Disks      []GuestDisk `json:"disk"`
}

// GuestDisk is a disk below a file system, as the guest sees it.
type GuestDisk struct {
	BusType string `json:"bus-type"`
	Serial  string `json:"serial"`
	Device  string `json:"dev"`
}

// Ping asks whether the agent is there.
func (c *Client) Ping(ctx context.Context) error { return c.Execute(ctx, "guest-ping", nil, nil) }

// Info asks for the agent's version and commands.
func (c *Client) Info(ctx context.Context) (Info, error) {
	var i Info
	return i, c.Execute(ctx, "guest-info", nil, &i)
}

// FileSystems lists the guest's mounted file systems. It is refused while they are frozen.
func (c *Client) FileSystems(ctx context.Context) ([]FileSystem, error) {
	var list []FileSystem
	return list, c.Execute(ctx, "guest-get-fsinfo", nil, &list)
}

// Status asks whether the guest's file systems are frozen.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	if err := c.Execute(ctx, "guest-fsfreeze-status", nil, &s); err != nil {
		return "", err
	}
	if s != Frozen && s != Thawed {
		return "", fmt.Errorf("guest agent: guest-fsfreeze-status: %w: status %.20q", ErrProtocol, s)
	}
	return s, nil
}

// Freeze freezes all file systems, or those at the mount points named, after the guest's hooks. It gives how many: 0 means
// that nothing is frozen, for example because no mount point of that name exists. ErrNoAnswer may be followed by a freeze.
func (c *Client) Freeze(ctx context.Context, mountpoints ...string) (int, error) {
	if len(mountpoints) == 0 {
		return c.count(ctx, "guest-fsfreeze-freeze", nil)
	}
	return c.count(ctx, "guest-fsfreeze-freeze-list", map[string]any{"mountpoints": mountpoints})
}

// Thaw thaws what is frozen, and gives how many file systems that were: 0 when none was. It may be repeated; the guest's
// hooks run each time.
func (c *Client) Thaw(ctx context.Context) (int, error) {
	return c.count(ctx, "guest-fsfreeze-thaw", nil)
}

func (c *Client) count(ctx context.Context, command string, arguments any) (int, error) {
	var n int
	if err := c.Execute(ctx, command, arguments, &n); err != nil {
		return 0, err
	}
	if n < 0 {
		return 0, fmt.Errorf("guest agent: %s: %w: %d file systems", command, ErrProtocol, n)
	}
	return n, nil
}

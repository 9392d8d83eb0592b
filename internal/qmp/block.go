package qmp

import "context"

// BlockDevice is a guest's disk as query-block shows it.
type BlockDevice struct {
	// Device is the name of the backend, empty where the disk was given by its node.
	Device string `json:"device"`
	// QDev is the path of the device in the tree of objects.
	QDev string `json:"qdev"`
	// Inserted is the top node: nil for an empty drive.
	Inserted *BlockNode `json:"inserted"`
}

// BlockNode is a node of the graph of block drivers.
type BlockNode struct {
	NodeName string `json:"node-name"`
	Driver   string `json:"drv"`
	ReadOnly bool   `json:"ro"`
	File     string `json:"file"`
	// BackingDepth is how many backing files lie below.
	BackingDepth int           `json:"backing_file_depth"`
	Image        ImageInfo     `json:"image"`
	Bitmaps      []DirtyBitmap `json:"dirty-bitmaps"`
}

// ImageInfo is what a node knows of its image.
type ImageInfo struct {
	Filename     string `json:"filename"`
	Format       string `json:"format"`
	VirtualBytes int64  `json:"virtual-size"`
	// ActualBytes is what the file takes up; 0 where that is unknown.
	ActualBytes int64 `json:"actual-size"`
	// ClusterBytes is 0 for formats without clusters.
	ClusterBytes int64 `json:"cluster-size"`
	// BackingFilename is what the image names as its backing file, FullBackingFilename where that is.
	BackingFilename     string `json:"backing-filename"`
	FullBackingFilename string `json:"full-backing-filename"`
}

// DirtyBitmap is a bitmap of a node, with its state.
type DirtyBitmap struct {
	Name             string `json:"name"`
	GranularityBytes int64  `json:"granularity"`
	// DirtyBytes is what was written since: an exact estimate. It is 0 for an inconsistent one.
	DirtyBytes int64 `json:"count"`
	Recording  bool  `json:"recording"`
	// Busy: an export or a job uses it.
	Busy       bool `json:"busy"`
	Persistent bool `json:"persistent"`
	// Inconsistent: QEMU died before it could save it. It can only be removed.
	Inconsistent bool `json:"inconsistent"`
}

// BlockDevices lists the disks of the guest.
func (c *Client) BlockDevices(ctx context.Context) ([]BlockDevice, error) {
	var list []BlockDevice
	return list, c.Execute(ctx, "query-block", nil, &list)
}

// BlockNodes lists all named nodes, without what lies below each.
func (c *Client) BlockNodes(ctx context.Context) ([]BlockNode, error) {
	var list []BlockNode
	return list, c.Execute(ctx, "query-named-block-nodes", map[string]any{"flat": true}, &list)
}

// AddNode adds a node (blockdev-add); options are those of its driver, "node-name" and "driver" among them.
func (c *Client) AddNode(ctx context.Context, options map[string]any) error {
	return c.Execute(ctx, "blockdev-add", options, nil)
}

// RemoveNode removes a node (blockdev-del). The refusal of a node in use names its user.
func (c *Client) RemoveNode(ctx context.Context, node string) error {
	return c.Execute(ctx, "blockdev-del", map[string]any{"node-name": node}, nil)
}

// EventBlockIOError is raised when a disk refuses a request.
const EventBlockIOError = "BLOCK_IO_ERROR"

// BlockIOError is its data.
type BlockIOError struct {
	Device    string `json:"device"`
	NodeName  string `json:"node-name"`
	Operation string `json:"operation"`
	// Action is what QEMU did: "stop" stops the guest.
	Action string `json:"action"`
	// NoSpace: the file system below is full.
	NoSpace bool   `json:"nospace"`
	Reason  string `json:"reason"`
}

// EventBlockWriteThreshold is raised once when a write goes beyond the mark that WatchWrites set.
const EventBlockWriteThreshold = "BLOCK_WRITE_THRESHOLD"

// WatchWrites has QEMU raise EventBlockWriteThreshold when a write to the node (that of the file, not of the format) goes
// beyond so many bytes; 0 takes the mark away.
func (c *Client) WatchWrites(ctx context.Context, node string, bytes int64) error {
	return c.Execute(ctx, "block-set-write-threshold", map[string]any{"node-name": node, "write-threshold": bytes}, nil)
}

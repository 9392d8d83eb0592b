package qmp

import "context"

// Action is a command that may stand alone (Do) or be a member of a transaction.
type Action struct {
	Type string `json:"type"`
	Data any    `json:"data"`
}

// Do carries out one action.
func (c *Client) Do(ctx context.Context, a Action) error {
	return c.Execute(ctx, a.Type, a.Data, nil)
}

// Transaction carries out all actions at one point of time of the guest, or none: a refusal of one undoes the others.
func (c *Client) Transaction(ctx context.Context, actions ...Action) error {
	return c.Execute(ctx, "transaction", map[string]any{"actions": actions}, nil)
}

// BitmapRef names a bitmap: the node it is on, and its name there.
type BitmapRef struct {
	Node string `json:"node"`
	Name string `json:"name"`
}

// Bitmap is a bitmap to be added.
type Bitmap struct {
	BitmapRef
	// GranularityBytes is a power of two from 512; 0 leaves it to QEMU: the cluster size within 4 and 64 KiB.
	GranularityBytes int64 `json:"granularity,omitempty"`
	// Persistent: the image keeps it when QEMU ends. Raw images refuse that.
	Persistent bool `json:"persistent,omitempty"`
	// Disabled: it does not record writes until EnableBitmap.
	Disabled bool `json:"disabled,omitempty"`
}

// AddBitmap adds a bitmap.
func AddBitmap(b Bitmap) Action { return Action{"block-dirty-bitmap-add", b} }

// RemoveBitmap removes one; QEMU refuses while it is in use.
func RemoveBitmap(b BitmapRef) Action { return Action{"block-dirty-bitmap-remove", b} }

// ClearBitmap makes all of it clean.
func ClearBitmap(b BitmapRef) Action { return Action{"block-dirty-bitmap-clear", b} }

// EnableBitmap has it record writes.
func EnableBitmap(b BitmapRef) Action { return Action{"block-dirty-bitmap-enable", b} }

// DisableBitmap has it stand still.
func DisableBitmap(b BitmapRef) Action { return Action{"block-dirty-bitmap-disable", b} }

// MergeBitmaps makes dirty in target what is dirty in any of the sources, which may be on other nodes of the same size.
func MergeBitmaps(target BitmapRef, sources ...BitmapRef) Action {
	return Action{"block-dirty-bitmap-merge", map[string]any{"node": target.Node, "target": target.Name, "bitmaps": sources}}
}

// Backup is a job that copies to another node.
type Backup struct {
	JobID string `json:"job-id"`
	// Device is the node that is copied, Target the one that gets it: of the same size.
	Device string `json:"device"`
	Target string `json:"target"`
	// Sync is what is copied: "full", "top", "bitmap", or "none": only old content that the guest is about to overwrite.
	Sync string `json:"sync"`
	// Bitmap and BitmapMode ("on-success", "never", "always") are for Sync "bitmap".
	Bitmap     string `json:"bitmap,omitempty"`
	BitmapMode string `json:"bitmap-mode,omitempty"`
	// FilterNode is the name of the node the job puts above Device; empty leaves it to QEMU.
	FilterNode string `json:"filter-node-name,omitempty"`
	// OnTargetError is "report" (when empty), "ignore", "stop" or "enospc".
	OnTargetError string `json:"on-target-error,omitempty"`
}

// StartBackup starts a backup job. It stays when it has concluded, so that its outcome can be read, until DismissJob.
func StartBackup(b Backup) Action {
	return Action{"blockdev-backup", struct {
		Backup
		AutoDismiss bool `json:"auto-dismiss"`
	}{b, false}}
}

// ExternalSnapshot puts the node overlay, already added without a backing node, above node.
func ExternalSnapshot(node, overlay string) Action {
	return Action{"blockdev-snapshot", map[string]any{"node": node, "overlay": overlay}}
}

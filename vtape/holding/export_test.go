package holding

// SyncInline makes the syncs that run beside the writing run in their place, so that the order of operations is always
// the same.
func (h *Holding) SyncInline() { h.spawn = func(f func()) { f() } }

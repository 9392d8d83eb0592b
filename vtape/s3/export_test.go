package s3

import (
	"net/http"
	"time"

	"golang.org/x/time/rate"

	"holdfast/vtape"
)

// ParseKey reads a key and gives its parts, and the key written anew.
func ParseKey(name string) (number int, block int64, again string, ok bool) {
	k, ok := parseKey(name)
	return k.number, k.block, k.String(), ok
}

// PiecesHeld is how many pieces of memory a writer has made.
func PiecesHeld(w vtape.PartWriter) int { return int(w.(*partWriter).pool.made.Load()) }

// PieceBytes is the size of a writer's pieces.
func PieceBytes(w vtape.PartWriter) int64 { return w.(*partWriter).pool.bytes }

// WindowsHeld is how many windows a reader keeps.
func WindowsHeld(r vtape.PartReader) int {
	w := r.(*partReader).windows
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.byIndex)
}

// WaitForPieces waits until a writer's pieces are sent, or given up.
func WaitForPieces(w vtape.PartWriter) { w.(*partWriter).up.wg.Wait() }

// Transport is the package's own before another.
func Transport(next http.RoundTripper, rateBytes int64, stall time.Duration) http.RoundTripper {
	return &transport{next: next, stall: stall, limit: rate.NewLimiter(rate.Limit(rateBytes), limitChunk)}
}

// Tag is the ETag of the label as the device wrote it.
func (d *Device) Tag() string { return d.written() }

//go:build !cgo

package frames

// newCodec makes the codec of this build: pure Go, as there is no C compiler's work in it.
func newCodec(l Level) (codec, error) { return newGoCodec(l) }

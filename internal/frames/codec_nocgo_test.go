//go:build !cgo

package frames

func addCCodec(map[string]newCodecFunc) {}

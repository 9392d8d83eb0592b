//go:build cgo

package frames

func addCCodec(all map[string]newCodecFunc) { all["c"] = newCCodec }

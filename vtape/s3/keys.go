package s3

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

const (
	labelName   = "special-tapestart"
	headerEnd   = "filestart"
	dataEnd     = "mp.data"
	blockEnd    = ".data"
	markerName  = ".holdfast-library"
	filesPrefix = "f"
	// keyDigits and blockDigits are how many hexadecimal digits Amanda writes of file and block numbers.
	keyDigits   = 8
	blockDigits = 16
)

// kind is what an object of a file holds.
type kind int

const (
	header kind = iota // the header
	data               // all the data
	block              // one block of the data, as Amanda writes without multipart upload
)

// key is the name of an object of a file, without what the volume's keys begin with.
type key struct {
	kind   kind
	number int   // of the file, from 0 as Amanda might
	block  int64 // of a block, from 0
}

// String gives the name.
func (k key) String() string {
	switch k.kind {
	case header:
		return fmt.Sprintf("f%08x-%s", k.number, headerEnd)
	case data:
		return fmt.Sprintf("f%08x-%s", k.number, dataEnd)
	}
	return fmt.Sprintf("f%08x-b%016x%s", k.number, k.block, blockEnd)
}

// parseKey reads a name; what String does not give is no key.
func parseKey(name string) (key, bool) {
	number, rest, ok := strings.Cut(name, "-")
	digits, isFile := strings.CutPrefix(number, filesPrefix)
	if !ok || !isFile || len(digits) != keyDigits {
		return key{}, false
	}
	n, err := strconv.ParseUint(digits, 16, 64)
	if err != nil || n > math.MaxInt32 {
		return key{}, false
	}
	k := key{number: int(n)}
	switch rest {
	case headerEnd:
		k.kind = header
	case dataEnd:
		k.kind = data
	default:
		hex, isBlock := strings.CutPrefix(strings.TrimSuffix(rest, blockEnd), "b")
		b, err := strconv.ParseUint(hex, 16, 63)
		if !isBlock || len(hex) != blockDigits || err != nil {
			return key{}, false
		}
		k.kind, k.block = block, int64(b)
	}
	return k, k.String() == name
}

// slotPrefix is what the keys of a slot's volume begin with, after the store's own prefix.
func slotPrefix(slot string) string { return "slot" + slot + "-" }

// parseSlot takes the slot's number out of the beginning of a key.
func parseSlot(name string) (int, bool) {
	digits, ok := strings.CutPrefix(name, "slot")
	digits, _, found := strings.Cut(digits, "-")
	n, err := strconv.Atoi(digits)
	return n, ok && found && err == nil && n > 0 && strconv.Itoa(n) == digits
}

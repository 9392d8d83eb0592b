package nbd

// Magic numbers.
const (
	magicRequest    = 0x25609513
	magicSimple     = 0x67446698
	magicStructured = 0x668e33ef
)

// command is the type of a request.
type command uint16

const (
	cmdRead        command = 0
	cmdWrite       command = 1
	cmdDisconnect  command = 2
	cmdFlush       command = 3
	cmdTrim        command = 4
	cmdCache       command = 5
	cmdWriteZeroes command = 6
	cmdBlockStatus command = 7
)

// String is the word that errors use.
func (c command) String() string {
	names := [...]string{"read", "write", "disconnect", "flush", "trim", "cache", "write zeroes", "map"}
	if int(c) < len(names) {
		return names[c]
	}
	return "unknown command"
}

// Flags of a write, of zeroing and of trimming.
type Flags uint16

// The flags that callers may give.
const (
	// FUA: the data are on stable storage before the command ends. Where the server has it not, a flush follows.
	FUA Flags = 1 << 0
	// NoHole: zeros are allocated, not punched out.
	NoHole Flags = 1 << 1
	// FastZero: fail with ENOTSUP when zeroing is no faster than writing zeros.
	FastZero Flags = 1 << 4

	dontFragment Flags = 1 << 2
)

// Chunks of a structured reply.
const (
	chunkDone = 1 << 0

	chunkNone        = 0
	chunkData        = 1
	chunkHole        = 2
	chunkBlockStatus = 5
	chunkError       = 1 << 15
	chunkErrorText   = chunkError | 1
	chunkErrorOffset = chunkError | 2
)

// The states of the contexts that QEMU and nbdkit have; the state of allocation-depth is a number.
const (
	// StateHole of "base:allocation": not allocated. It does not say what it reads as.
	StateHole = 1 << 0
	// StateZero of "base:allocation": reads as zeros.
	StateZero = 1 << 1
	// StateDirty of a dirty bitmap: written since the bitmap was made.
	StateDirty = 1 << 0
)

// ContextAllocation is the meta context that tells holes and zeros; ContextDepth how deep in the backing chain the data
// lie (0 nowhere, 1 in the top image); ContextBitmap, followed by its name, is a dirty bitmap.
const (
	ContextAllocation = "base:allocation"
	ContextDepth      = "qemu:allocation-depth"
	ContextBitmap     = "qemu:dirty-bitmap:"
)

const (
	requestBytes    = 28
	simpleBytes     = 16
	structuredBytes = 20

	// sweepMax is the length of one request without payload (map, zeroes, trim): the field has 32 bits.
	sweepMax = 1 << 31
	// statusMax bounds a chunk of block status: a million extents, nbdkit's limit; QEMU's is an eighth.
	statusMax = 4 + 8<<20
	// runsMax bounds what is kept of one chunk of block status; what lies behind is asked for again.
	runsMax = 16 << 10
	// fragmentsMax bounds the gaps in a read that is answered out of order; servers answer in order.
	fragmentsMax = 1024
	// readBufferBytes: headers and short replies are read through a buffer, long ones pass by it.
	readBufferBytes = 16 << 10
)

package handshake

// Magic numbers.
const (
	magicServer   = 0x4e42444d41474943 // "NBDMAGIC"
	magicOption   = 0x49484156454f5054 // "IHAVEOPT"
	magicOldstyle = 0x00420281861253
	magicReply    = 0x0003e889045565a9
)

// Flags of the handshake, the same bits in both directions.
const (
	handshakeFixed    = 1 << 0
	handshakeNoZeroes = 1 << 1
)

// Options of the negotiation.
const (
	optAbort           = 2
	optList            = 3
	optStartTLS        = 5
	optInfo            = 6
	optGo              = 7
	optStructuredReply = 8
	optListMetaContext = 9
	optSetMetaContext  = 10
)

// Types of replies to options. The errors have bit 31.
const (
	repAck         = 1
	repServer      = 2
	repInfo        = 3
	repMetaContext = 4

	repError        = 1 << 31
	repUnsupported  = repError | 1
	repPolicy       = repError | 2
	repPlatform     = repError | 4
	repTLSRequired  = repError | 5
	repUnknown      = repError | 6
	repShutdown     = repError | 7
	repSizeRequired = repError | 8
)

// Items of an INFO reply.
const (
	infoExport      = 0
	infoName        = 1
	infoDescription = 2
	infoBlockSize   = 3
)

// Transmission flags of an export.
const (
	flagHasFlags   = 1 << 0
	flagReadOnly   = 1 << 1
	flagFlush      = 1 << 2
	flagFUA        = 1 << 3
	flagRotational = 1 << 4
	flagTrim       = 1 << 5
	flagZeroes     = 1 << 6
	flagDF         = 1 << 7
	flagMultiConn  = 1 << 8
	flagCache      = 1 << 10
	flagFastZero   = 1 << 11
)

const (
	// stringMax is the protocol's limit of names, descriptions and messages.
	stringMax = 4096
	// replyMax: the longest reply is two strings and a length.
	replyMax = 2*stringMax + 64
	// repliesMax bounds how many replies one option has: of a server with more exports one is asked for by name.
	repliesMax = 10_000
	// PayloadMax is what any server takes in one read or write, by the protocol's advice; QEMU's limit, too. Bytes.
	PayloadMax = 32 << 20
	// SizeMax bounds an export, so that sums of offset and length stay within an int64. Bytes.
	SizeMax = 1<<63 - 1<<32
)

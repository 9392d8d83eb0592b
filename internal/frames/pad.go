package frames

// The age payload (C2SP age v1): chunks of 64 KiB of plain text, each with a tag of 16 bytes. The last one may be
// shorter, and is empty only when all of the plain text is.
const (
	agePlainChunk = 64 << 10
	ageTagBytes   = 16
	ageChunk      = agePlainChunk + ageTagBytes
	ageNonceBytes = 16
)

// ageChunks counts the chunks of n bytes of plain text.
func ageChunks(n int64) int64 { return max(1, (n+agePlainChunk-1)/agePlainChunk) }

// agePlainBytes is the plain text of a payload of n bytes. A last chunk without room for a byte beside its tag can
// come from truncation only; it counts as nothing.
func agePlainBytes(n int64) int64 {
	return n/ageChunk*agePlainChunk + max(0, n%ageChunk-ageTagBytes)
}

// paddedBytes is the smallest length of at least minBytes that makes the stored stream a multiple of PadBytes.
// headerBytes is what encryption has put before the payload; 0 when the stream is not encrypted.
func paddedBytes(minBytes, headerBytes int64) int64 {
	if headerBytes == 0 {
		return roundUp(minBytes)
	}
	stored := roundUp(headerBytes + minBytes + ageChunks(minBytes)*ageTagBytes)
	// Some lengths would leave a last chunk of nothing but a tag: these are passed over.
	for {
		plain := agePlainBytes(stored - headerBytes)
		if plain+ageChunks(plain)*ageTagBytes == stored-headerBytes {
			return plain
		}
		stored += PadBytes
	}
}

func roundUp(n int64) int64 { return (n + PadBytes - 1) / PadBytes * PadBytes }

// Package taper writes dumps to volumes in parts, and reads them back as one stream.
//
// Writing, a dump is cut into parts of a size; when a volume ends inside a part, the part ends there and the next one
// begins on the next volume. Only a part that a volume failed to make durable is written twice.
//
// The invariant: a part is durable before it is recorded, and recorded before anything after it is written. So what
// the catalog says is on volumes is there, and at most one part is there that the catalog does not know of.
//
// Without a catalog, FromHeaders puts together what is found on volumes.
package taper

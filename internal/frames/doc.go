// Package frames makes and reads the stored form of a dump stream: compressed in frames, optionally encrypted, and
// readable at random.
package frames

package main

import (
	"os"
	"runtime"
	"runtime/debug"
)

// maxWorkers bounds the cores that one dump or restore uses. Each takes some 4 MiB, for several dumps at once; eight
// read, hash and compress more than a disk gives.
const maxWorkers = 8

// gcPercent lets the heap grow by a quarter between two collections, not double: what lives in it are few and large
// buffers, so that looking through it more often costs next to nothing.
const gcPercent = 25

// workers is how many cores one dump or restore uses.
func workers() int { return min(runtime.GOMAXPROCS(0), maxWorkers) }

// beFrugal keeps the program small beside the guests, unless the administrator has said how large it may be.
func beFrugal() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

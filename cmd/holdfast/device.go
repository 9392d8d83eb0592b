package main

import (
	"io/fs"
	"syscall"
)

// deviceOf gives the number of the file system that a file is on; 0 where the system does not say.
func deviceOf(info fs.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Dev
	}
	return 0
}

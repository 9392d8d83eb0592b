// Package file is the source of images at rest: raw files, block devices, and qcow2 files with all they rest on. It
// runs on Linux.
//
// A point is an image that nobody writes to. While it is pinned, every file of its chain carries the locks that QEMU's
// own readers take (see lock), so QEMU refuses to start a guest on it, and a guest that is already running makes Pin
// give ErrInUse. Programs that do not know these locks are found out afterwards: Changed compares size, times and inode
// of each file, and the write counter of each device.
//
// Its one invariant: an image is read as what the configuration, or the image above it, says it is. Formats are never
// guessed from content, because the content of a raw image is the guest's: a guest that writes a qcow2 header into its
// disk could otherwise name any file of the host as its backing file. (Discover, which is for the administrator to look
// at, does guess, and says so.)
package file

// Package amanda exchanges catalogs with Amanda. Export writes what its commands need to find and read the dumps on our
// media: for each storage a configuration with a tapelist and the logs of the runs. Adopt takes a library that Amanda has
// written into our catalog, so that its dumps can be listed, verified and restored.
//
// Its one invariant: neither changes a byte of a dump. Export writes to its own directory alone; Adopt to the catalog and,
// at the library, no more than what Opener.Create makes: the mark that tells it from an empty mount point.
package amanda

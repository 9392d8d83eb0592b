package recovery

import (
	"cmp"
	"path"

	"holdfast/catalog"
	"holdfast/vtape"
)

// DumpFromHeader makes of a header what the catalog would know of the dump, as far as the header says. What a header
// leaves out (times, digests) stays empty.
func DumpFromHeader(h vtape.Header) catalog.Dump {
	dle := catalog.DLE{VM: h.Host, Disk: h.Disk}
	stamp := catalog.Stamp(h.Stamp)
	d := catalog.Dump{
		ID: catalog.NewDumpID(dle, stamp, h.Level), DLE: dle, Stamp: stamp, Level: h.Level, Status: catalog.StatusOK,
		Program: h.Program, OrigBytes: h.Native.Bytes, NativeCRC: h.Native.Sum, StoredBytes: h.Server.Bytes, StoredCRC: h.Server.Sum,
	}
	if h.Partial {
		d.Status = catalog.StatusPartial
	}
	if h.Compress != "N" {
		d.Compress = "zstd"
	}
	if h.Encrypted {
		d.Encrypt = "age"
	}
	if h.Image == nil { // another program's may be made with anything: what the header names
		d.Compress, d.Encrypt = otherFilters(h)
	}
	if h.Image != nil {
		d.Base, d.ImageBytes, d.Identity = h.Image.Base, h.Image.ImageBytes, h.Image.Identity
		if h.Server.Sum == 0 { // a header leaves out a checksum that is 0, and the size with it
			d.StoredBytes = h.Image.StoredBytes
		}
		if h.Native.Sum == 0 {
			d.OrigBytes = h.Image.OrigBytes
		}
		if h.Image.Status == string(catalog.StatusStrange) && d.Status == catalog.StatusOK {
			d.Status = catalog.StatusStrange
		}
	}
	return d
}

// otherFilters names the programs that compressed and encrypted the dump of another program; empty for none.
func otherFilters(h vtape.Header) (compress, encrypt string) {
	if h.Compress != "N" {
		compress = "gzip"
		if program := h.ServerCompress + h.ClientCompress; program != "" { // never both
			compress = path.Base(program)
		}
	}
	if h.Encrypted {
		encrypt = cmp.Or(path.Base(h.ServerEncrypt+h.ClientEncrypt), "unknown")
	}
	return compress, encrypt
}

package handshake

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// Info is what a server says of an export.
type Info struct {
	// Export is its name; Description a text for people.
	Export, Description string
	// SizeBytes is the size, to the byte.
	SizeBytes int64
	// BlockMin is the alignment of requests, BlockPreferred that which is fast, BlockMax the longest read or write; all
	// in bytes. A server that says nothing has 1, 4096 and 32 MiB.
	BlockMin, BlockPreferred, BlockMax int64
	// ReadOnly, Rotational: as the words say.
	ReadOnly, Rotational bool
	// MultiConn: several connections see the same, and a flush on one holds for all.
	MultiConn bool
	// The commands beside read and write that the export has.
	Flush, FUA, Trim, Zeroes, FastZero, Cache bool
	// DontFragment: a read can be asked for in one piece.
	DontFragment bool
	// Structured: replies may come in chunks, with the server's texts for errors. TLS: the connection is secured.
	Structured, TLS bool
	// Contexts are the meta contexts: of Inspect all that there are, of a Client those it asked for, in its order.
	Contexts []string
	// ContextIDs are the numbers by which this connection speaks of the Contexts; of a Client's connection only.
	ContextIDs []uint32
}

// exportRequest is the data of GO and INFO: everything is asked for.
func exportRequest(export string) []byte {
	p := appendString(nil, export)
	p = binary.BigEndian.AppendUint16(p, 3)
	for _, item := range []uint16{infoName, infoDescription, infoBlockSize} {
		p = binary.BigEndian.AppendUint16(p, item)
	}
	return p
}

func appendString(p []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(p, uint32(len(s))), s...)
}

// export asks with GO or INFO what the export is. After GO follows the transmission.
func (h *handshake) export(opt uint32) (Info, error) {
	info := Info{Export: h.addr.Export, BlockMin: 1, BlockPreferred: 4096, BlockMax: PayloadMax, Structured: h.structured, TLS: h.tls}
	known := false
	err := h.option(opt, exportRequest(h.addr.Export), func(kind uint32, data []byte) error {
		if kind != repInfo || len(data) < 2 {
			return protocolError("reply %d of %d bytes to option %d", kind, len(data), opt)
		}
		item := binary.BigEndian.Uint16(data)
		known = known || item == infoExport
		return info.set(item, data[2:])
	})
	if err == nil && !known {
		err = protocolError("size and flags of the export are missing")
	}
	return info, err
}

func (i *Info) set(item uint16, data []byte) error {
	switch item {
	case infoExport:
		return i.setExport(data)
	case infoBlockSize:
		return i.setBlocks(data)
	case infoName:
		i.Export = Printable(data)
	case infoDescription:
		i.Description = Printable(data)
	}
	return nil // what is not known is to be ignored
}

func (i *Info) setExport(data []byte) error {
	if len(data) != 10 {
		return protocolError("size and flags have %d bytes", len(data))
	}
	size, flags := binary.BigEndian.Uint64(data), binary.BigEndian.Uint16(data[8:])
	if size > SizeMax || flags&flagHasFlags == 0 {
		return protocolError("an export of %d bytes with flags %#x", size, flags)
	}
	has := func(bit uint16) bool { return flags&bit != 0 }
	i.SizeBytes = int64(size)
	i.ReadOnly, i.Rotational, i.MultiConn = has(flagReadOnly), has(flagRotational), has(flagMultiConn)
	i.Flush, i.FUA, i.Trim = has(flagFlush), has(flagFUA), has(flagTrim)
	i.Zeroes, i.FastZero, i.Cache = has(flagZeroes), has(flagFastZero), has(flagCache)
	i.DontFragment = has(flagDF)
	return nil
}

// setBlocks holds the sizes to what the protocol promises of them, except the greatest, which is only ever lowered.
func (i *Info) setBlocks(data []byte) error {
	if len(data) != 12 {
		return protocolError("block sizes have %d bytes", len(data))
	}
	least, preferred, most := blockSize(data), blockSize(data[4:]), blockSize(data[8:])
	if !powerOfTwo(least) || least > 64<<10 || !powerOfTwo(preferred) || preferred < least || preferred > PayloadMax || most < least {
		return protocolError("block sizes %d, %d, %d", least, preferred, most)
	}
	i.BlockMin, i.BlockPreferred, i.BlockMax = least, preferred, min(most, PayloadMax)/least*least
	return nil
}

func blockSize(p []byte) int64 { return int64(binary.BigEndian.Uint32(p)) }

func powerOfTwo(n int64) bool { return n > 0 && n&(n-1) == 0 }

// metaContexts asks for meta contexts, to list or to set, and calls each for what the server has.
func (h *handshake) metaContexts(opt uint32, queries []string, each func(id uint32, name string) error) error {
	p := appendString(nil, h.addr.Export)
	p = binary.BigEndian.AppendUint32(p, uint32(len(queries)))
	for _, q := range queries {
		p = appendString(p, q)
	}
	return h.option(opt, p, func(kind uint32, data []byte) error {
		if kind != repMetaContext || len(data) < 4 || len(data) > 4+stringMax {
			return protocolError("reply %d of %d bytes to a question for meta contexts", kind, len(data))
		}
		return each(binary.BigEndian.Uint32(data), string(data[4:]))
	})
}

// setContexts selects the contexts wanted, all of them, and returns their numbers.
func (h *handshake) setContexts(wanted []string) ([]uint32, error) {
	if !h.structured {
		return nil, fmt.Errorf("%w: %q: the server has no structured replies", ErrNoContext, wanted)
	}
	ids := make([]uint32, len(wanted))
	found := make([]bool, len(wanted))
	err := h.metaContexts(optSetMetaContext, wanted, func(id uint32, name string) error {
		n := slices.Index(wanted, name)
		if n < 0 || found[n] {
			return protocolError("meta context %q was not asked for, or comes twice", Printable([]byte(name)))
		}
		for k, other := range ids {
			if found[k] && other == id {
				return protocolError("two meta contexts have the number %d", id)
			}
		}
		ids[n], found[n] = id, true
		return nil
	})
	if n := slices.Index(found, false); n >= 0 && (err == nil || isUnsupported(err)) {
		return nil, fmt.Errorf("%w: %q", ErrNoContext, wanted[n])
	}
	return ids, err
}

// transmit is the rest of a client's negotiation.
func (h *handshake) transmit(contexts []string) (Info, error) {
	var ids []uint32
	if len(contexts) > 0 {
		var err error
		if ids, err = h.setContexts(contexts); err != nil {
			return Info{}, err
		}
	}
	info, err := h.export(optGo)
	info.Contexts, info.ContextIDs = slices.Clone(contexts), ids
	return info, err
}

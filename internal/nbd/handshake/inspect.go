package handshake

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
)

// Export is an entry of a server's list.
type Export struct {
	Name, Description string
}

// List asks a server for its exports; the export of the address does not matter. Servers may refuse (ErrUnsupported).
func List(ctx context.Context, uri string, o Options) ([]Export, error) {
	var all []Export
	err := ask(ctx, uri, o, func(h *handshake) error {
		return h.option(optList, nil, func(kind uint32, data []byte) error {
			e, err := parseExport(kind, data)
			all = append(all, e)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("list exports of %s: %w", uri, err)
	}
	return all, nil
}

// parseExport reads an entry: u32 length, name, and the rest is the description.
func parseExport(kind uint32, data []byte) (Export, error) {
	if kind != repServer || len(data) < 4 {
		return Export{}, protocolError("reply %d of %d bytes to a list", kind, len(data))
	}
	n := binary.BigEndian.Uint32(data)
	if n > stringMax || int(n) > len(data)-4 {
		return Export{}, protocolError("an export's name of %d bytes in a reply of %d", n, len(data))
	}
	return Export{Name: string(data[4 : 4+n]), Description: Printable(data[4+n:])}, nil
}

// Inspect asks what an export is, with all its meta contexts, without opening it.
func Inspect(ctx context.Context, uri string, o Options) (Info, error) {
	var info Info
	err := ask(ctx, uri, o, func(h *handshake) (err error) {
		if info, err = h.export(optInfo); err != nil || !h.structured {
			return err
		}
		err = h.metaContexts(optListMetaContext, nil, func(_ uint32, name string) error {
			info.Contexts = append(info.Contexts, name)
			return nil
		})
		if isUnsupported(err) {
			return nil
		}
		return err
	})
	if err != nil {
		return Info{}, fmt.Errorf("inspect %s: %w", uri, err)
	}
	return info, nil
}

func isUnsupported(err error) bool { return errors.Is(err, ErrUnsupported) }

// ask negotiates with a server and leaves it without transmission.
func ask(ctx context.Context, uri string, o Options, question func(*handshake) error) error {
	addr, o, err := o.prepare(uri)
	if err != nil {
		return err
	}
	h, err := connect(ctx, addr, o, question)
	if err != nil {
		return err
	}
	h.abort()
	return nil
}

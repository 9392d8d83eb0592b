// Package qmp is a client of QEMU's machine protocol on a Unix socket, as docs/interop/qmp-spec of QEMU has it: a greeting, the
// negotiation of capabilities, then commands; events come in between a command and its reply.
//
// Its one invariant: a reply is taken only by the command whose id it carries. A command that was given up leaves nothing
// behind that the next one could mistake for its own answer.
//
// A monitor serves one client at a time: a second one is accepted and hears nothing (ErrNoGreeting). Give holdfast a monitor
// of its own.
//
//	c, err := qmp.Dial(ctx, "/run/vm/holdfast.qmp")
//	events := c.Subscribe("BLOCK_IO_ERROR")
//	err = c.Transaction(ctx, qmp.AddBitmap(b), qmp.DisableBitmap(old))
package qmp

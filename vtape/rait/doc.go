// Package rait is the device for parity sets: one volume spread over several members, so that it outlives the loss of
// some of them. Members are devices of any kind. With k members for data and m for parity, any m of the k+m may be lost,
// damaged or wrong.
//
// Its invariant: bytes are read from the members that hold them, or rebuilt from as many others as it takes, and never
// made of less. What was missing is told (Options.Note, Device.Faults).
//
// All members hold the same files under the same numbers, each with a header block (see package vtape). A part's bytes
// go to them in stripes: of stripe s, data member j (from 0) has the j-th piece, parity members have what is reckoned of
// the pieces.
//
// # Amanda's form: 2 to 5 members, one of parity
//
// To the byte what Amanda's RAIT device writes. With two members both hold the same (a mirror); with more the last one
// holds the XOR of the others.
//
//	offset                    size    field
//	0                         32768   header block, byte for byte the same on all members
//	32768 + s*32768           32768   piece j of stripe s: bytes s*R + j*32768 of the part on, R = k*32768
//
// The last stripe of a part is filled up with zeros, and nothing on the members tells how many: SizeBytes and Files count
// whole stripes. The catalog, or the last header of a dump, tells the true length.
//
// # Our own layout: any other set
//
//	offset                    size    field
//	0                         32768   header block; it has a line HOLDFAST-RAIT=, other on each member
//	32768 + s*shard           shard   piece j of stripe s: bytes s*R + j*shard of the part on, R = k*shard
//	... the last stripe       p       p = the rest of the part's bytes divided by k, rounded up: piece j has bytes
//	                                  s*R + j*p on; what is behind the part's end is zero
//
// The line is JSON:
//
//	field    meaning                                              limit
//	v        version of the layout, 1
//	data     k                                                    data + parity at most 32
//	parity   m                                                    data + parity at most 32
//	member   number of this member, from 1, data members first    data + parity
//	shard    bytes of a stripe on one member                      1 to 4194304; written: 262144
//	matrix   xor (m = 1) or vandermonde (m > 1)
//	bytes    true length of the part; absent in labels            int64
//	repair   true in the label of a member that is being written anew; in Amanda's form the line is there then, too
//
// With matrix xor, parity is the XOR of the pieces. With vandermonde, byte i of the parity pieces is the product of the
// bytes i of the data pieces and the lower m rows of V*inverse(top of V), V[r][c] = r^c with k+m rows and k columns,
// over GF(256) with the polynomial 0x11d: the default matrix of Backblaze's library and those made after it.
//
// # Version rule
//
// A reader refuses versions and matrices that it does not know. Version 1 may gain fields that a reader may ignore. There
// are no retired versions.
package rait

// Package dumpertest holds what the tests of dumpers share: a source in memory whose contents, extents and errors a test
// sets, a journal in memory, and Run, the suite that every source must pass.
//
// Its one invariant: what the suite asks for stands in the contract (package dumpers), so a source that passes can be
// dumped, and one that fails is wrong.
package dumpertest

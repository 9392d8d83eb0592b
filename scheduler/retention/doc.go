// Package retention decides which volumes must not be overwritten, and says why.
//
// It is pure. Its one invariant stands above every policy: a volume that holds any part of a dump which a retained dump
// needs (as its base, or as the base of the image it was cloned from) is kept.
//
// A dump lies in a storage when a whole copy of it is on volumes of that storage that are there. A partial copy counts for
// nothing, nor does one with a part on a retired volume, on one that the catalog does not know, or in a storage that is not
// in the configuration: then what other storages have is what is needed. Each storage retains, of the dumps that lie in it:
//
//   - the latest of each DLE; where that one cannot be restored, or not from this storage alone, the latest that can be, too:
//     so each storage goes on being worth as much as it is when the others are lost;
//   - what its policy says: the recovery window (every dump in it, and for each DLE the latest before it, which is the state
//     at the window's first instant), the latest fulls, the fulls of so many days;
//   - dumps on hold;
//   - every dump with a part on a volume that is kept for its own sake: one of those written last, written not long ago,
//     marked no-reuse, locked at its storage, written by the run that goes on.
//
// The dumps on the holding disk are retained as well. What a retained dump builds on is kept in the same storage as far as
// it lies there, and otherwise in every storage that has it. A vault has no rule of its own: its policy decides over what
// was copied to it, and what it holds keeps nothing elsewhere but bases that it lacks.
//
// A copy that is still to be made keeps its source, with what that builds on, but softly: such a volume yields when no other
// can be written, so that a vault that is dead or slow never stops the storage it is filled from (see Verdicts.Firm).
//
// Ages are reckoned from stamps, a day as 24 hours. All rules only ever add: none makes a volume reusable.
package retention

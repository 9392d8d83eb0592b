// Package catalog holds the nouns of holdfast and pure queries over them: what a DLE, a level, a stamp, a dump, a
// copy, a part, a volume and an event are, and which dumps a restore needs. It does no I/O; package sqlstore keeps
// these nouns in a database.
//
// Its one invariant: a name means one thing for ever. A DumpID is made from what the media say (DLE, stamp, level),
// so a catalog rebuilt from the media holds the same ids as the one that was lost.
package catalog

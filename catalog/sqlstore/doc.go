// Package sqlstore keeps the catalog in SQL: an embedded SQLite file by default.
//
// Its one invariant: what a method has reported as written is on the disk, and a crash at any moment leaves every transaction
// whole or undone. Each writing method is one transaction, and doing it again changes nothing, so a step repeated after a
// crash does no harm. What was lost with the catalog can be read back from the media.
//
// The file may be queried by any SQLite tool while holdfast runs (not on a network file system, whose locks do not carry
// the write-ahead log). The statements keep to what PostgreSQL understands as well: text keys, bigint for times and sizes,
// numbered placeholders, nothing computed from the database's clock.
//
// # Tables
//
// Times are nanoseconds since 1970 in UTC (0: not yet), sizes bytes, checksums CRC-32C, stamps YYYYMMDDHHMMSS.
//
//	runs            one row a run: stamp, command, started, ended (0 while it runs or when it crashed), exit_status, pid
//	events          what happened in a run, in order of seq: kind, the VM and disk it is about, body as JSON
//	dumps           one row a dump: id (VM/DISK/STAMP/LEVEL), vm, disk, stamp, level, base (id of the dump it builds on, or
//	                empty), status (ok, strange, partial, failed), sizes, checksums, how it was made, messages (JSON)
//	copies          a dump on the volumes of a storage: write_stamp is the run that wrote it, status as above
//	parts           the pieces of a copy: part number, label and file number on that volume, stream_offset and bytes
//	volumes         labelled vtapes: storage, slot, last write_stamp, bytes, files, no_reuse, retired, seen,
//	                degraded (members of a parity set that lag behind, JSON), locked_until
//	dump_metadata   documents that the source gave with a dump, by name
//	records         where the catalog records of runs lie on volumes: part, label and file as in parts
//	wanted_copies   copies still to be made: of which dump, to which storage, from when on
//	holding_chunks  the files of dumps on the holding disk, in order of chunk
//	forces          wishes of the administrator, one a DLE
//	resources       things made outside (locks, scratch files, snapshots) that are not yet removed again
//	restorable      a view: ids of the dumps that can be restored, base dumps included
//	catalog_schema  the versions of these tables
//
// Where does the latest dump of each disk lie?
//
//	SELECT d.vm, d.disk, max(d.stamp), p.label, p.file FROM dumps d JOIN parts p ON p.dump = d.id
//	WHERE d.id IN (SELECT id FROM restorable) GROUP BY d.vm, d.disk;
//
// # Versions
//
// Schema 1 is the first; 2 added wanted_copies, dumps.hold, volumes.degraded and volumes.locked_until;
// 3 added dump_metadata and records. A catalog with a newer schema than the program knows is refused.
package sqlstore

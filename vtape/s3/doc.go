// Package s3 is the device for volumes in buckets: S3 and what speaks like it. The keys are Amanda's, so Amanda's S3
// device reads what holdfast wrote and the other way round; see package vtape for what a header says.
//
// Its invariant: a file shows on a volume only when all of it is there, and a label is never absent while it changes.
//
// # Keys
//
// The keys of a volume begin with a prefix P; for slot N of a library it is `<prefix>slotN-`.
//
//	<P>special-tapestart        label
//	<P>f%08x-filestart          header of a file; the number of the file in hexadecimal, from 1
//	<P>f%08x-mp.data            its data, in one object
//	<P>f%08x-b%016x.data        or in blocks from 0 on, as Amanda writes without multipart upload; these are read only
//	<prefix>.holdfast-library   marks a library: "holdfast library of storage " and the storage's name
//
// A header object is the text of the header block without the NUL bytes that fill a block on other media. It stands for
// the block with them: RawHeader gives vtape.HeaderBytes, checksums of headers are over that, and a volume's capacity is
// reckoned with it. So a member of a parity set has the same header with the same checksum wherever it lies. Where
// there are both -mp.data and blocks, the former counts.
//
// A label object has a line more than elsewhere, `WRITER=` and chance, which readers pass over. It makes the ETags of any
// two labels differ.
//
// # Order of writing
//
// The data is written first, under the condition that there is none; then the header, under the same condition; a file
// without a header is none. What a crash leaves is an unfinished upload or data without a header. The next Create of
// that number resumes the upload, if the same bytes come again, or replaces the data; CleanUp removes both.
//
// Format reads the label and proves that the store heeds conditions. It writes the old label anew, with a WRITER line of its
// own, under the condition that it is still the one that was read; so of two writers that have read the same label only one goes on
// to look for the parts and remove them. Then the new label replaces the old one, under the same kind of condition. A blank volume's
// label is written under the condition that there is none; if there are files without a label, an object that is no label is
// written so first, and then replaced as a label is.
//
// A volume may be taken over at any of these moments, by one who reads the label as it is then. Who is overtaken does no harm when
// it goes on: it removes objects under the condition that they are those it listed (by version, where the bucket keeps versions),
// its label is refused, and it looks at the label before it begins a file or removes one, and before the header of each file and
// after it. A store that knows no condition for removals leaves a gap here: a writer that stands still in the middle of Format, and
// goes on when another has labelled the volume and written to it, removes what that one wrote under the numbers of the old files.
//
// # Object lock
//
// With Options.LockMode each label, header and data object is locked until the time that Options.LockUntil gives when it
// is written; the bucket must have been made with object lock. Format looks at all versions of all objects first and
// refuses with ErrLocked while one is locked or under a legal hold. Buckets with versions: what is removed is removed
// with all its versions, not only hidden. An interrupted upload is not resumed then, for its lock would end early.
//
// # Memory
//
// A file being written holds Connections+1 pieces; one being read at most 48 MiB.
//
// # Rights
//
// The credentials need, on the bucket: s3:ListBucket, s3:ListBucketMultipartUploads, s3:GetBucketVersioning,
// s3:GetBucketObjectLockConfiguration; on its objects: s3:GetObject, s3:PutObject, s3:DeleteObject,
// s3:AbortMultipartUpload, s3:ListMultipartUploadParts; where it keeps versions also s3:ListBucketVersions,
// s3:GetObjectVersion, s3:DeleteObjectVersion; with object lock s3:PutObjectRetention, s3:GetObjectRetention,
// s3:GetObjectLegalHold; with aws:kms kms:GenerateDataKey and kms:Decrypt on the key. s3:BypassGovernanceRetention is not
// used and should not be given. To read alone, ListBucket and GetObject do. The credentials come from where the SDK looks
// for them (environment, shared file, role of the machine) and from nowhere else.
//
// # What was tried
//
// The tests use versitygw 1.8, with and without versions, with faults of the connection at every request, and objects that
// Amanda 3.5.1 wrote; Amanda's amrestore restores what the device wrote. Amazon's own service and other stores have not
// been tried; where one refuses checksums or conditions, Options has a word for it.
package s3

// Package reports tells what a run did: the report that is mailed in the morning, the status of a run while it goes on
// or after it crashed, and the tables that commands print.
//
// A report is a fold over the run's recorded events and nothing else: Fold and Status are pure, and Text, JSON and the
// tables only write what they are given. The text keeps the layout of Amanda 3.5 (sections, titles, columns), which
// scripts and eyes are used to; where Amanda's report hides a problem, this one shows it.
//
// Its one invariant: every DLE that failed, or that was planned and has no result, stands in Failures and in Summary,
// and makes the exit status differ from 0.
package reports

// Package sim runs the planner over nights that have not happened: over a model of what a site will do, or over a recorded
// workload, and tells what each night would carry.
//
// It is pure: no clock, no file, no chance. Its one invariant: the planner is told only what it could know in that night,
// its own history and what the sources say has changed so far, never what a later night will bring.
package sim

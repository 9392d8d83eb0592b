// Package lint holds the house rules as a test that reads the sources: the order of imports, sizes, banned calls with what to
// use instead, comments, formatting. There is nothing in it to import.
//
// Its one invariant: each rule is seen to fire on a bad source, so a rule that finds nothing means clean code.
package lint

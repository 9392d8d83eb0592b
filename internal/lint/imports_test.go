package lint

import (
	"fmt"
	"strings"
)

const module = "holdfast/"

// importOrder says who may import whom. `a < b`: b may import a, and all that a may import. Names on one side of `<` stand
// beside each other and do not import one another. `x/*` is every package below x, `*` every package named before. It is the
// order of the design: decide (scheduler, reports) and sources (dumpers/...) and media (vtape/...) meet in scheduler/run only.
const importOrder = `
	internal/* < catalog
	catalog < configs, dumpers, vtape, catalog/record, catalog/sqlstore, reports, scheduler, scheduler/retention
	scheduler, scheduler/retention < scheduler/sim
	dumpers < dumpers/freeze < dumpers/*
	vtape < vtape/dir, vtape/s3, vtape/rait, vtape/devicetest, vtape/holding, vtape/amandalog < vtape/library < vtape/taper
	* < scheduler/recovery, scheduler/hooks < scheduler/run/taping, scheduler/run/driving < scheduler/run < scheduler/amanda, scheduler/daemon < cmd/holdfast
`

// order is importOrder as a value: for each name what it may import directly.
type order struct {
	names []string
	below map[string][]string
}

func parseOrder(text string) order {
	o := order{below: map[string][]string{}}
	for line := range strings.Lines(strings.TrimSpace(text)) {
		var below []string
		for group := range strings.SplitSeq(line, "<") {
			var names []string
			for name := range strings.SplitSeq(group, ",") {
				if name = strings.TrimSpace(name); name == "*" {
					names = append(names, o.names...)
				} else {
					names = append(names, name)
				}
			}
			for _, name := range names {
				if _, known := o.below[name]; !known {
					o.names = append(o.names, name)
				}
				o.below[name] = append(o.below[name], below...)
			}
			below = names
		}
	}
	return o
}

// name is the name in the order that stands for a package: itself, or the pattern it falls under; empty for none.
func (o order) name(pkg string) string {
	if _, ok := o.below[pkg]; ok {
		return pkg
	}
	for _, n := range o.names {
		if prefix, ok := strings.CutSuffix(n, "*"); ok && strings.HasPrefix(pkg, prefix) {
			return n
		}
	}
	return ""
}

// allowed tells whether from may import to, both names of the order.
func (o order) allowed(from, to string) bool {
	for _, b := range o.below[from] {
		if b == to || o.allowed(b, to) {
			return true
		}
	}
	return false
}

// checkImports holds a file to the order. Packages of internal may import one another: the compiler forbids circles.
func checkImports(f *source) {
	o := parseOrder(importOrder)
	from := o.name(f.pkg)
	if from == "" {
		f.report(f.ast.Name.Pos(), "imports", fmt.Sprintf("package %s has no place in the order of imports: give it one in internal/lint/imports_test.go", f.pkg))
		return
	}
	for _, spec := range f.ast.Imports {
		pkg, ours := strings.CutPrefix(strings.Trim(spec.Path.Value, `"`), module)
		if !ours {
			continue
		}
		to := o.name(pkg)
		if from == "internal/*" && to == "internal/*" || o.allowed(from, to) {
			continue
		}
		f.report(spec.Pos(), "imports", fmt.Sprintf("%s may not import %s: take a small interface of your own, or move the code up", f.pkg, pkg))
	}
}

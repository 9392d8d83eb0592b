package lint

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The ceilings of the house style; most code stays far below.
const (
	fileLinesMax = 600
	funcLinesMax = 70
	paramsMax    = 4 // beside ctx, and beside t in a suite
)

// banned calls below cmd, each with what to do instead. A name ending in * stands for all that begin so.
var banned = map[string]string{
	"time.Now":    "take a clock or `now` as a parameter",
	"time.Since":  "take a clock or `now` as a parameter",
	"time.Until":  "take a clock or `now` as a parameter",
	"time.Sleep":  "wait for what is awaited, with ctx",
	"fmt.Print*":  "write to an io.Writer parameter",
	"os.Stdin":    "take an io.Reader parameter",
	"os.Stdout":   "take an io.Writer parameter",
	"os.Stderr":   "take an io.Writer parameter",
	"os.Exit":     "return an error; cmd alone exits",
	"os.Args":     "take parameters; cmd alone sees arguments",
	"log.*":       "return an error or record an event",
	"log/slog.*":  "return an error or record an event",
	"os/signal.*": "take a context; cmd alone sees signals",
}

// fileCalls are the functions that touch files, by their packages.
var fileCalls = map[string][]string{
	"os": {"Chmod", "Chown", "Chtimes", "CopyFS", "Create", "CreateTemp", "DirFS", "Lchown", "Link", "Lstat", "Mkdir", "MkdirAll", "MkdirTemp", "Open",
		"OpenFile", "OpenInRoot", "OpenRoot", "ReadDir", "ReadFile", "Readlink", "Remove", "RemoveAll", "Rename", "Stat", "Symlink", "Truncate", "WriteFile"},
	"path/filepath": {"EvalSymlinks", "Glob", "Walk", "WalkDir"},
}

// vfsOnly are the folders whose files go through internal/vfs, so that faults and power cuts can be tested.
var vfsOnly = []string{"catalog", "vtape", "scheduler", "reports"}

// exceptions are packages or variables that a rule does not hold for, with the reason.
var exceptions = map[string]map[string]string{
	"files": {
		"catalog/sqlstore": "SQLite opens its file itself; power cuts are its own affair, beside it only a stat and a directory sync",
	},
	"variables": {
		"cmd/holdfast.version": "set by the linker",
	},
}

// rules in the order of their names in messages.
var rules = map[string]func(*source){
	"banned":    checkBanned,
	"comments":  checkComments,
	"errors":    checkErrorTexts,
	"files":     checkFileCalls,
	"format":    checkFormat,
	"imports":   checkImports,
	"init":      checkInit,
	"names":     checkPackageName,
	"sizes":     checkSizes,
	"variables": checkVariables,
}

func checkFormat(f *source) {
	if want, err := format.Source(f.text); err != nil || !bytes.Equal(want, f.text) {
		f.report(f.ast.Package, "format", "run gofmt -w (make fmt)")
	}
}

func checkPackageName(f *source) {
	if slices.Contains([]string{"util", "utils", "common", "base", "helpers", "misc"}, f.ast.Name.Name) {
		f.report(f.ast.Name.Pos(), "names", fmt.Sprintf("package %s says nothing: name it after what it holds", f.ast.Name.Name))
	}
}

func checkSizes(f *source) {
	if n := f.line(f.ast.FileEnd - 1); n > fileLinesMax {
		f.report(f.ast.Package, "sizes", fmt.Sprintf("%d lines, at most %d: split the file", n, fileLinesMax))
	}
	for _, fn := range f.funcs() {
		if n := f.line(fn.End()) - f.line(fn.Pos()) + 1; n > funcLinesMax {
			f.report(fn.Pos(), "sizes", fmt.Sprintf("%s has %d lines, at most %d: take a step of it out", fn.Name.Name, n, funcLinesMax))
		}
		params := 0
		for _, p := range fn.Type.Params.List {
			if slices.Contains([]string{"context.Context", "testing.TB"}, f.refers(p.Type)) {
				continue
			}
			params += max(1, len(p.Names))
		}
		if params > paramsMax {
			f.report(fn.Pos(), "sizes", fmt.Sprintf("%s takes %d parameters, at most %d after ctx: make a struct of them", fn.Name.Name, params, paramsMax))
		}
	}
}

func checkInit(f *source) {
	for _, fn := range f.funcs() {
		if fn.Recv == nil && fn.Name.Name == "init" {
			f.report(fn.Pos(), "init", "no init(): do it where it is needed, or in a constructor")
		}
	}
}

func checkBanned(f *source) {
	if strings.HasPrefix(f.pkg, "cmd/") {
		return
	}
	f.eachReference(func(pos token.Pos, pkg, name string) {
		for pattern, instead := range banned {
			prefix, open := strings.CutSuffix(pattern, "*")
			full := pkg + "." + name
			if full == pattern || open && strings.HasPrefix(full, prefix) {
				f.report(pos, "banned", fmt.Sprintf("%s: %s", full, instead))
			}
		}
	})
}

func checkFileCalls(f *source) {
	top, _, _ := strings.Cut(f.pkg, "/")
	if !slices.Contains(vfsOnly, top) || exceptions["files"][f.pkg] != "" {
		return
	}
	f.eachReference(func(pos token.Pos, pkg, name string) {
		if slices.Contains(fileCalls[pkg], name) {
			f.report(pos, "files", fmt.Sprintf("%s.%s: go through internal/vfs", pkg, name))
		}
	})
}

// checkErrorTexts looks at the texts given to errors.New and fmt.Errorf.
func checkErrorTexts(f *source) {
	ast.Inspect(f.ast, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) == 0 {
			return true
		}
		lit, ok := call.Args[0].(*ast.BasicLit)
		if fn := f.refers(call.Fun); !ok || fn != "errors.New" && fn != "fmt.Errorf" {
			return true
		}
		text, _ := strconv.Unquote(lit.Value)
		if strings.Contains(strings.ToLower(text), "failed to ") {
			f.report(lit.Pos(), "errors", "say operation: object: cause, never \"failed to\"")
		}
		if strings.HasSuffix(text, ".") || strings.HasSuffix(text, "\n") {
			f.report(lit.Pos(), "errors", "an error's text has no full stop or newline at its end")
		}
		return true
	})
}

// checkVariables allows package variables only for sentinels, tables and what the compiler fills in.
func checkVariables(f *source) {
	for _, decl := range f.ast.Decls {
		vars, ok := decl.(*ast.GenDecl)
		if !ok || vars.Tok != token.VAR {
			continue
		}
		for _, spec := range vars.Specs {
			v := spec.(*ast.ValueSpec)
			for i, name := range v.Names {
				if name.Name == "_" || embeds(vars.Doc) || embeds(v.Doc) || exceptions["variables"][f.pkg+"."+name.Name] != "" {
					continue
				}
				_, zeros := v.Type.(*ast.ArrayType) // an array without a value: zeros to compare with or to write
				if i < len(v.Values) && !f.isTable(v.Values[i]) || i >= len(v.Values) && !(zeros && strings.HasPrefix(name.Name, "zero")) {
					f.report(name.Pos(), "variables", fmt.Sprintf("package variable %s is state: make it a constant, a field or a parameter", name.Name))
				}
			}
		}
	}
}

// tableMakers are the calls whose result is never changed.
var tableMakers = []string{"errors.New", "fmt.Errorf", "regexp.MustCompile", "hash/crc32.MakeTable", "text/template.Must", "html/template.Must",
	"strings.NewReplacer"}

// sentinel is what errors that callers branch on are called.
var sentinel = regexp.MustCompile(`^Err[A-Z]`)

// isTable guesses from its form whether a variable's value is made once and only read.
func (f *source) isTable(value ast.Expr) bool {
	switch v := value.(type) {
	case *ast.CompositeLit:
		return len(v.Elts) > 0
	case *ast.SelectorExpr: // another package's sentinel or table, not a field
		full := f.refers(v)
		return full != "" && sentinel.MatchString(v.Sel.Name) || slices.Contains([]string{"encoding/binary.LittleEndian", "encoding/binary.BigEndian"}, full)
	case *ast.CallExpr:
		if _, conversion := v.Fun.(*ast.ArrayType); conversion {
			return true
		}
		return slices.Contains(tableMakers, f.refers(v.Fun))
	}
	return false
}

// embeds tells whether a comment has the compiler fill the variable in. CommentGroup.Text would hide such a line.
func embeds(g *ast.CommentGroup) bool {
	return g != nil && slices.ContainsFunc(g.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") })
}

// checkComments wants a sentence for every exported name. The names of one group may share it, and so may methods of one name
// that follow each other line by line.
func checkComments(f *source) {
	var last *ast.FuncDecl // documented, or sharing such a comment
	for _, decl := range f.ast.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			shares := last != nil && d.Name.Name == last.Name.Name && f.line(d.Pos()) == f.line(last.End())+1
			if d.Doc != nil || shares {
				last = d
			} else if d.Name.IsExported() && exportedReceiver(d) {
				f.report(d.Pos(), "comments", fmt.Sprintf("exported %s has no comment: say what it does, its errors, its units", d.Name.Name))
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				f.checkSpecComment(d, spec)
			}
		}
	}
}

func (f *source) checkSpecComment(d *ast.GenDecl, spec ast.Spec) {
	var names []*ast.Ident
	documented := d.Doc != nil
	switch s := spec.(type) {
	case *ast.TypeSpec:
		names, documented = []*ast.Ident{s.Name}, s.Doc != nil || s.Comment != nil || documented && !d.Lparen.IsValid()
	case *ast.ValueSpec:
		names, documented = s.Names, documented || s.Doc != nil || s.Comment != nil
	}
	for _, name := range names {
		if name.IsExported() && !documented {
			f.report(name.Pos(), "comments", fmt.Sprintf("exported %s has no comment: say what it is", name.Name))
		}
	}
}

// exportedReceiver tells whether a function is one, or a method of an exported type.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return false
		}
	}
}

package lint

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// source is one file that is read for the rules, and what they found in it.
type source struct {
	path, pkg string // relative to the module
	text      []byte
	fset      *token.FileSet
	ast       *ast.File
	imports   map[string]string // local name -> path
	found     []string
}

func parse(name string, text []byte) (*source, error) {
	f := &source{path: name, pkg: path.Dir(name), text: text, fset: token.NewFileSet(), imports: map[string]string{}}
	var err error
	if f.ast, err = parser.ParseFile(f.fset, name, text, parser.ParseComments|parser.SkipObjectResolution); err != nil {
		return nil, err
	}
	for _, spec := range f.ast.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		local := path.Base(p)
		if spec.Name != nil {
			local = spec.Name.Name
		}
		f.imports[local] = p
	}
	return f, nil
}

// report notes a finding as `file:line: rule: what to do`.
func (f *source) report(pos token.Pos, rule, text string) {
	f.found = append(f.found, fmt.Sprintf("%s:%d: %s: %s", f.path, f.line(pos), rule, text))
}

func (f *source) line(pos token.Pos) int { return f.fset.Position(pos).Line }

func (f *source) funcs() []*ast.FuncDecl {
	var all []*ast.FuncDecl
	for _, d := range f.ast.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			all = append(all, fn)
		}
	}
	return all
}

// refers gives `path.Name` for a name of an imported package, else nothing.
func (f *source) refers(e ast.Expr) string {
	if sel, ok := e.(*ast.SelectorExpr); ok {
		if id, ok := sel.X.(*ast.Ident); ok && f.imports[id.Name] != "" {
			return f.imports[id.Name] + "." + sel.Sel.Name
		}
	}
	return ""
}

// eachReference calls fn for every name of an imported package, called or not.
func (f *source) eachReference(fn func(pos token.Pos, pkg, name string)) {
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if full := f.refers(sel); full != "" {
				fn(sel.Pos(), strings.TrimSuffix(full, "."+sel.Sel.Name), sel.Sel.Name)
			}
		}
		return true
	})
}

// TestSources holds every Go file of the module to the rules; test files only to the format.
func TestSources(t *testing.T) {
	commented := map[string]bool{} // package -> has a package comment
	for _, name := range goFiles(t, "../..") {
		text, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil {
			t.Fatal(err)
		}
		f, err := parse(name, text)
		if err != nil {
			t.Error(err)
			continue
		}
		if strings.HasSuffix(name, "_test.go") {
			checkFormat(f)
		} else {
			for _, check := range rules {
				check(f)
			}
			commented[f.pkg] = commented[f.pkg] || f.ast.Doc != nil
		}
		slices.Sort(f.found)
		for _, finding := range f.found {
			t.Error(finding)
		}
	}
	for pkg, ok := range commented {
		if !ok {
			t.Errorf("%s: comments: no package comment: say its purpose and its one invariant", pkg)
		}
	}
}

// goFiles lists the module's Go files, without testdata and what is made by running.
func goFiles(t *testing.T, root string) []string {
	var names []string
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if d.IsDir() && name != "." && (base[0] == '.' || base[0] == '_' || base == "testdata" || name == "bin" || name == "demo") {
			return fs.SkipDir
		}
		if strings.HasSuffix(name, ".go") {
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(names) < 10 {
		t.Fatalf("only %d Go files found below %s", len(names), root)
	}
	return names
}

// Every rule is seen to fire, and to let pass what it should.
func TestRulesFire(t *testing.T) {
	long := func(lines int, open, end string) string {
		return open + strings.Repeat("\t_ = 1\n", lines) + end
	}
	fired := map[string]bool{}
	for _, c := range []struct{ rule, path, text, want string }{
		{"imports", "catalog/a.go", `import "holdfast/vtape"`, "catalog/a.go:2: imports: catalog may not import vtape: take"},
		{"imports", "internal/x/a.go", `import "holdfast/catalog"`, "internal/x may not import catalog"},
		{"imports", "dumpers/file/a.go", `import "holdfast/vtape"`, "dumpers/file may not import vtape"},
		{"imports", "dumpers/file/a.go", `import "holdfast/dumpers/qemu"`, "may not import dumpers/qemu"},
		{"imports", "vtape/dir/a.go", `import "holdfast/dumpers"`, "may not import dumpers"},
		{"imports", "vtape/library/a.go", `import "holdfast/vtape/taper"`, "may not import vtape/taper"},
		{"imports", "vtape/taper/a.go", `import "holdfast/catalog/sqlstore"`, "may not import catalog/sqlstore"},
		{"imports", "scheduler/a.go", `import "holdfast/scheduler/run"`, "may not import scheduler/run"},
		{"imports", "reports/a.go", `import "holdfast/vtape/dir"`, "may not import vtape/dir"},
		{"imports", "scheduler/recovery/a.go", `import "holdfast/scheduler/run"`, "may not import scheduler/run"},
		{"imports", "reports/a.go", `import "holdfast/nowhere"`, "may not import nowhere"},
		{"imports", "stray/a.go", ``, "stray has no place in the order"},
		{"imports", "internal/a/a.go", `import "holdfast/internal/b"`, ""},
		{"imports", "vtape/taper/a.go", "import \"holdfast/vtape/library\"\nimport \"holdfast/catalog\"\nimport \"holdfast/internal/vfs\"", ""},
		{"imports", "cmd/holdfast/a.go", "import \"holdfast/scheduler/daemon\"\nimport \"holdfast/dumpers/qemu\"\nimport \"holdfast/internal/vfs\"", ""},
		{"sizes", "catalog/a.go", strings.Repeat("\n", 600), "sizes: 602 lines, at most 600"},
		{"sizes", "catalog/a.go", long(69, "func f() {\n", "}"), "a.go:2: sizes: f has 71 lines, at most 70"},
		{"sizes", "catalog/a.go", long(68, "func f() {\n", "}"), ""},
		{"sizes", "catalog/a.go", "import \"context\"\nfunc f(ctx context.Context, a, b int, c string, d ...int) {}", ""},
		{"sizes", "catalog/a.go", "import \"context\"\nfunc f(ctx context.Context, a, b int, c, d string, e ...int) {}", "f takes 5 parameters"},
		{"sizes", "vtape/devicetest/a.go", "import \"testing\"\nfunc f(t testing.TB, a, b, c, d int) {}", ""},
		{"sizes", "catalog/a.go", "func (r R) f(a, b, c, d, e int) {}", "f takes 5 parameters"},
		{"banned", "reports/a.go", "import \"time\"\nvar x = time.Now", "a.go:3: banned: time.Now: take a clock"},
		{"banned", "reports/a.go", "import clock \"time\"\nfunc f() { clock.Sleep(1) }", "time.Sleep: wait"},
		{"banned", "internal/x/a.go", "import \"fmt\"\nfunc f() { fmt.Println() }", "fmt.Println: write to an io.Writer"},
		{"banned", "internal/x/a.go", "import \"os\"\nfunc f() { os.Exit(1) }", "os.Exit: return an error"},
		{"banned", "internal/x/a.go", "import \"os\"\nvar x = os.Stderr", "os.Stderr: take an io.Writer"},
		{"banned", "internal/x/a.go", "import \"log\"\nfunc f() { log.Printf(\"\") }", "log.Printf: return an error"},
		{"banned", "cmd/holdfast/a.go", "import \"os\"\nfunc f() { os.Exit(1) }", ""},
		{"banned", "reports/a.go", "import \"fmt\"\nimport \"time\"\nfunc f(time.Time) { fmt.Sprint(); fmt.Fprintln() }", ""},
		{"files", "vtape/dir/a.go", "import \"os\"\nfunc f() { os.Rename(\"\", \"\") }", "a.go:3: files: os.Rename: go through internal/vfs"},
		{"files", "scheduler/a.go", "import \"path/filepath\"\nfunc f() { filepath.WalkDir(\"\", nil) }", "path/filepath.WalkDir: go through"},
		{"files", "catalog/sqlstore/a.go", "import \"os\"\nfunc f() { os.Stat(\"\") }", ""},
		{"files", "dumpers/file/a.go", "import \"os\"\nfunc f() { os.Open(\"\") }", ""},
		{"files", "vtape/dir/a.go", "import \"os\"\nconst x = os.O_RDONLY", ""},
		{"init", "catalog/a.go", "func init() {}", "a.go:2: init: no init()"},
		{"init", "catalog/a.go", "func (x) init() {}", ""},
		{"variables", "catalog/a.go", "var count int", "package variable count is state"},
		{"variables", "catalog/a.go", "var buffer [4096]byte", "package variable buffer is state"},
		{"variables", "catalog/a.go", "import \"encoding/binary\"\nvar zeroPage [4096]byte\nvar order = binary.LittleEndian", ""},
		{"variables", "catalog/a.go", "var now = func() {}", "package variable now"},
		{"variables", "catalog/a.go", "var cache = map[string]int{}", "package variable cache"},
		{"variables", "catalog/a.go", "import \"sync\"\nvar mu = sync.Mutex{}", "package variable mu"},
		{"variables", "catalog/a.go", "var p = &T{A: 1}", "package variable p"},
		{"variables", "catalog/a.go", "import (\n\t\"errors\"\n\t\"regexp\"\n)\nvar ErrX = errors.New(\"x\")\nvar re = regexp.MustCompile(``)\nvar table = map[int]int{1: 2}\nvar list = []int{1}\nvar magic = []byte(\"x\")\nvar _ I = T{}\n\n//go:embed x\nvar files embed.FS", ""},
		{"variables", "catalog/a.go", "import \"holdfast/internal/x\"\nvar ErrX = x.ErrX", ""},
		{"variables", "catalog/a.go", "var kept = last.ErrX", "package variable kept"},
		{"variables", "catalog/a.go", "import \"holdfast/internal/x\"\nvar kept = x.Errors", "package variable kept"},
		{"variables", "cmd/holdfast/a.go", "var version = \"dev\"", ""},
		{"comments", "catalog/a.go", "func Do() {}", "a.go:2: comments: exported Do has no comment"},
		{"comments", "catalog/a.go", "func (t *T[K]) Do() {}", "exported Do has no comment"},
		{"comments", "catalog/a.go", "type T int", "exported T has no comment"},
		{"comments", "catalog/a.go", "// Types.\ntype (\n\tT int\n)", "exported T has no comment"},
		{"comments", "catalog/a.go", "const A, B = 1, 2", "exported B has no comment"},
		{"comments", "catalog/a.go", "// Do does.\nfunc (A) Do() {}\nfunc (B) Do() {}\nfunc (B) Undo() {}", "exported Undo has no comment"},
		{"comments", "catalog/a.go", "// Do does.\nfunc (A) Do() {}\n\nfunc (B) Do() {}", "a.go:5: comments: exported Do"},
		{"comments", "catalog/a.go", "// The limits.\nconst (\n\tA = 1\n\tB = 2\n)\n\n// T is.\ntype T int\n\nfunc (t t) Do() {}\nfunc do() {}\n", ""},
		{"format", "catalog/a.go", "func  f() {}", "a.go:1: format: run gofmt -w"},
		{"names", "internal/util/a.go", "", "names: package util says nothing"},
		{"errors", "catalog/a.go", "import \"fmt\"\nfunc f() { fmt.Errorf(\"failed to %d\", 1) }", `never "failed to"`},
		{"errors", "catalog/a.go", "import \"errors\"\nfunc f() { errors.New(\"it broke.\") }", "no full stop"},
		{"errors", "catalog/a.go", "import \"errors\"\nfunc f() { errors.New(\"open: it broke\") }", ""},
	} {
		text := "package " + path.Base(path.Dir(c.path)) + "\n" + c.text + "\n"
		f, err := parse(c.path, []byte(text))
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		rules[c.rule](f)
		found := strings.Join(f.found, "\n")
		if c.want == "" && found != "" || !strings.Contains(found, c.want) {
			t.Errorf("%s in %s:\n%s\nfound %q, want %q", c.rule, c.path, c.text, found, c.want)
		}
		fired[c.rule] = fired[c.rule] || c.want != "" && found != ""
	}
	for rule := range rules {
		if !fired[rule] {
			t.Errorf("rule %s was never seen to fire", rule)
		}
	}
}

package configs

import (
	"encoding"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml/ast"

	"holdfast/catalog"
)

// maxFaults is how many faults are told at once: more would scroll the first away.
const maxFaults = 10

// decoder reads YAML nodes into structs, over what they hold already, and remembers where each key stood. It is used
// instead of the library's own because that one stops at the first fault and speaks of Go's types.
type decoder struct {
	faults   []fault
	warnings []fault
	places   map[string]place
	// later holds the nodes under a path of the keys of this map, which are not decoded but kept.
	later map[string]ast.Node
	// listed are the blocks whose keys a hint has listed.
	listed map[string]bool
}

// defaulter is a struct with values that hold where the file says nothing.
type defaulter interface{ defaults() }

// switchable is a struct that the word `none` stands for the absence of.
type switchable interface{ none() }

// warn notes what is allowed but seldom meant.
func (d *decoder) warn(path, message string) {
	d.warnings = append(d.warnings, fault{d.placeOf(path), problem{Message: showPath(path) + ": " + message}})
}

// fail notes a fault of the value at path.
func (d *decoder) fail(path string, p problem) { d.failAt(d.placeOf(path), path, p) }

func (d *decoder) failAt(at place, path string, p problem) {
	if path != "" {
		p.Message = showPath(path) + ": " + p.Message
	}
	d.faults = append(d.faults, fault{at, p})
}

// placeOf gives the place of the value at path, or of the nearest thing around it that stands in the file.
func (d *decoder) placeOf(path string) place {
	for path != "" {
		if at, ok := d.places[path]; ok {
			return at
		}
		path = path[:max(strings.LastIndexByte(path, '.'), 0)]
	}
	return place{1, 1}
}

var indices = regexp.MustCompile(`\.[0-9]+(\.|$)`)

// showPath leaves the indices of lists out of a path: line and column say it better.
func showPath(path string) string { return indices.ReplaceAllString(path, "$1") }

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// decode reads node into dst, over what dst holds.
func (d *decoder) decode(path string, node ast.Node, dst reflect.Value) {
	if isNull(node) {
		return
	}
	d.places[path] = start(node)
	if _, ok := d.later[path]; ok {
		d.later[path] = node
		return
	}
	if dst.CanAddr() {
		if u, ok := dst.Addr().Interface().(encoding.TextUnmarshaler); ok {
			d.decodeText(path, node, u)
			return
		}
		if s, ok := dst.Addr().Interface().(switchable); ok && isScalar(node) && node.GetToken().Value == "none" {
			s.none()
			return
		}
	}
	switch dst.Kind() {
	case reflect.Struct:
		d.decodeStruct(path, node, dst)
	case reflect.Map:
		d.decodeMap(path, node, dst)
	case reflect.Slice:
		d.decodeList(path, node, dst)
	default:
		d.decodeScalar(path, node, dst)
	}
}

func (d *decoder) decodeText(path string, node ast.Node, u encoding.TextUnmarshaler) {
	text, ok := d.scalar(path, node, "one value")
	if !ok {
		return
	}
	if err := u.UnmarshalText([]byte(text)); err != nil {
		p, ok := err.(problem)
		if !ok {
			p = problem{Message: err.Error()}
		}
		d.fail(path, p)
	}
}

var wholeNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

func (d *decoder) decodeScalar(path string, node ast.Node, dst reflect.Value) {
	want := map[reflect.Kind]string{
		reflect.String: "text", reflect.Bool: "true or false", reflect.Int: "a whole number", reflect.Float64: "a number",
	}[dst.Kind()]
	text, ok := d.scalar(path, node, want)
	if !ok {
		return
	}
	switch dst.Kind() {
	case reflect.String:
		dst.SetString(text)
		return
	case reflect.Bool:
		if text == "true" || text == "false" {
			dst.SetBool(text == "true")
			return
		}
	case reflect.Int:
		if n, err := strconv.Atoi(text); err == nil && wholeNumber.MatchString(text) {
			dst.SetInt(int64(n))
			return
		}
	case reflect.Float64:
		if f, err := strconv.ParseFloat(text, 64); err == nil && f-f == 0 { // neither infinite nor NaN
			dst.SetFloat(f)
			return
		}
	default:
		panic("configs: no decoding for " + dst.Type().String())
	}
	d.fail(path, problem{Message: fmt.Sprintf("want %s, have %q", want, text)})
}

// scalar gives the text of a scalar as it stands in the file, so that a VM may be called 007 or null.
func (d *decoder) scalar(path string, node ast.Node, want string) (string, bool) {
	if !isScalar(node) {
		d.fail(path, problem{Message: fmt.Sprintf("want %s, have %s", want, kindOf(node))})
		return "", false
	}
	text := node.GetToken().Value
	if block, ok := node.(*ast.LiteralNode); ok {
		text = strings.TrimSuffix(block.Value.Value, "\n")
	}
	if strings.ContainsFunc(text, unicode.IsControl) {
		d.fail(path, problem{Message: fmt.Sprintf("control character in %q", text)})
		return "", false
	}
	return text, true
}

func (d *decoder) decodeStruct(path string, node ast.Node, dst reflect.Value) {
	entries, ok := node.(*ast.MappingNode)
	if !ok {
		d.fail(path, problem{Message: fmt.Sprintf("want a block of keys, have %s", kindOf(node))})
		return
	}
	fields, names := fieldsOf(dst.Type())
	seen := map[string]bool{}
	for _, entry := range entries.Values {
		key := keyOf(entry)
		field, ok := fields[key]
		if !ok {
			seen[d.unknownKey(path, entry, names)] = true // else what was meant would also be missing
			continue
		}
		if !isNull(entry.Value) {
			seen[key] = true
		}
		d.decode(join(path, key), entry.Value, dst.FieldByIndex(field.Index))
	}
	for _, name := range names {
		field := fields[name]
		if field.Tag.Get("jsonschema") == "required" && !seen[name] && dst.FieldByIndex(field.Index).IsZero() {
			d.fail(path, problem{Message: fmt.Sprintf("key %q is missing", name)})
		}
	}
}

// unknownKey notes a key that is none of names, and gives the one that was meant, if any. What may stand in a block is
// listed once.
func (d *decoder) unknownKey(path string, entry *ast.MappingValueNode, names []string) (meant string) {
	key := keyOf(entry)
	p := problem{Message: fmt.Sprintf("unknown key %q", key)}
	if path != "" {
		p.Message += " in " + showPath(path)
	}
	if p.Hint = didYouMean(key, names); p.Hint != "" {
		meant, _ = catalog.Nearest(key, names)
	} else if !d.listed[path] {
		d.listed[path] = true
		p.Hint = "keys here are " + strings.Join(names, ", ")
	}
	d.failAt(placeOf(entry.Key.GetToken()), "", p)
	return meant
}

func (d *decoder) decodeMap(path string, node ast.Node, dst reflect.Value) {
	entries, ok := node.(*ast.MappingNode)
	if !ok {
		d.fail(path, problem{Message: fmt.Sprintf("want a block of names, have %s", kindOf(node))})
		return
	}
	dst.Set(reflect.MakeMap(dst.Type()))
	for i, entry := range entries.Values {
		name := keyOf(entry)
		if !d.checkName(path, entry) {
			continue
		}
		elem := reflect.New(dst.Type().Elem())
		d.decodeElem(join(path, name), entry.Value, elem)
		elem.Elem().FieldByName("Name").SetString(name)
		if index := elem.Elem().FieldByName("Index"); index.IsValid() {
			index.SetInt(int64(i))
		}
		dst.SetMapIndex(reflect.ValueOf(name), elem.Elem())
	}
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

// checkName tells whether an entry's key will do as the name of a storage or a dump type, and notes it if not.
func (d *decoder) checkName(path string, entry *ast.MappingValueNode) bool {
	ok := nameForm.MatchString(keyOf(entry))
	if !ok {
		d.failAt(placeOf(entry.Key.GetToken()), path, problem{
			Message: fmt.Sprintf("%q is not a name: letters, digits, - and _, at most 64", keyOf(entry)),
		})
	}
	return ok
}

func (d *decoder) decodeList(path string, node ast.Node, dst reflect.Value) {
	list, ok := node.(*ast.SequenceNode)
	if !ok {
		p := problem{Message: fmt.Sprintf("want a list, have %s", kindOf(node)), Hint: "begin each entry with '- '"}
		if isScalar(node) {
			p.Hint = fmt.Sprintf("write [%s]", node.GetToken().Value)
		}
		d.fail(path, p)
		return
	}
	items := reflect.MakeSlice(dst.Type(), len(list.Values), len(list.Values))
	for i, value := range list.Values {
		d.decodeElem(join(path, strconv.Itoa(i)), value, items.Index(i).Addr())
	}
	dst.Set(items)
}

// decodeElem decodes an entry of a list or map, which unlike a key's value may not be left empty.
func (d *decoder) decodeElem(path string, node ast.Node, elem reflect.Value) {
	if isNull(node) {
		d.failAt(placeOf(node.GetToken()), path, problem{Message: "is empty"})
		return
	}
	if def, ok := elem.Interface().(defaulter); ok {
		def.defaults()
	}
	d.decode(path, node, elem.Elem())
}

// fieldsOf gives the fields of a struct by their keys, and the keys in order.
func fieldsOf(t reflect.Type) (map[string]reflect.StructField, []string) {
	fields, names := map[string]reflect.StructField{}, []string{}
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("yaml"), ","); name != "-" {
			fields[name] = f
			names = append(names, name)
		}
	}
	return fields, names
}

func keyOf(entry *ast.MappingValueNode) string { return entry.Key.GetToken().Value }

func isScalar(node ast.Node) bool { _, ok := node.(ast.ScalarNode); return ok }

func isNull(node ast.Node) bool { return node == nil || node.Type() == ast.NullType }

func kindOf(node ast.Node) string {
	switch node.(type) {
	case *ast.MappingNode:
		return "a block of keys"
	case *ast.SequenceNode:
		return "a list"
	}
	return strconv.Quote(node.GetToken().Value)
}

// start gives the place where a node begins; a block of keys has the place of its first key.
func start(node ast.Node) place {
	if m, ok := node.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		return placeOf(m.Values[0].Key.GetToken())
	}
	return placeOf(node.GetToken())
}

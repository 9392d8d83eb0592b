package configs

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// typeResolver decodes the dump types, each over the one it inherits.
type typeResolver struct {
	d     *decoder
	nodes map[string]*ast.MappingValueNode
	names []string
	done  map[string]DumpType
	// open are the types being resolved, the innermost last: a name among them is a cycle.
	open    []string
	builtin DumpType
}

const typesPath = "dump-types"

// resolveTypes makes c.DumpTypes from the node that was kept for later. There always is a type `default`.
func (d *decoder) resolveTypes(c *Config) {
	r := &typeResolver{d: d, nodes: map[string]*ast.MappingValueNode{}, done: map[string]DumpType{}, builtin: builtinType(c)}
	if node := d.later[typesPath]; node != nil {
		entries, ok := node.(*ast.MappingNode)
		if !ok {
			d.fail(typesPath, problem{Message: fmt.Sprintf("want a block of names, have %s", kindOf(node))})
			return
		}
		for _, entry := range entries.Values {
			if d.checkName(typesPath, entry) {
				r.nodes[keyOf(entry)] = entry
				r.names = append(r.names, keyOf(entry))
			}
		}
	}
	r.resolve(defaultType) // first: a type that it inherits then starts from the built-in settings, not from it
	for _, name := range r.names {
		r.resolve(name)
	}
	c.DumpTypes = r.done
}

// resolve gives the type of this name, which is in the file or `default`.
func (r *typeResolver) resolve(name string) DumpType {
	if t, ok := r.done[name]; ok {
		return t
	}
	r.open = append(r.open, name)
	t := r.parent(name)
	r.open = r.open[:len(r.open)-1]
	if entry, ok := r.nodes[name]; ok {
		r.d.decode(join(typesPath, name), entry.Value, reflect.ValueOf(&t).Elem())
	}
	t.Name, t.Inherit = name, ""
	r.done[name] = t
	return t
}

// parent gives the complete settings that the type of this name starts from.
func (r *typeResolver) parent(name string) DumpType {
	parent, at := r.inherit(name)
	path := join(join(typesPath, name), "inherit")
	_, known := r.nodes[parent]
	cycle := slices.Index(r.open, parent)
	switch {
	case parent == "" || parent == defaultType && (!known || at == place{} && cycle >= 0):
		return r.builtin
	case !known:
		r.d.failAt(at, path, problem{
			Message: fmt.Sprintf("there is no dump type %q", parent), Hint: didYouMean(parent, r.names),
		})
		return r.builtin
	case cycle >= 0:
		ring := append(slices.Clone(r.open[cycle:]), parent)
		r.d.failAt(at, path, problem{Message: "dump types inherit in a ring: " + strings.Join(ring, " from ")})
		return r.builtin
	}
	return r.resolve(parent)
}

// inherit gives the name that a type inherits, and where it says so: nowhere, if it is `default` for want of a word.
func (r *typeResolver) inherit(name string) (string, place) {
	if entry, ok := r.nodes[name]; ok {
		if settings, ok := entry.Value.(*ast.MappingNode); ok {
			for _, e := range settings.Values {
				if keyOf(e) == "inherit" && isScalar(e.Value) && !isNull(e.Value) {
					return e.Value.GetToken().Value, placeOf(e.Value.GetToken())
				}
			}
		}
	}
	if name == defaultType {
		return "", place{}
	}
	return defaultType, place{}
}

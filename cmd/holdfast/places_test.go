package main

import (
	"strings"
	"testing"
)

func TestParsePlace(t *testing.T) {
	for _, c := range []struct{ text, kind, path, members string }{
		{"/media/vtapes", "dir", "/media/vtapes", ""},
		{"file:/media/vtapes", "dir", "/media/vtapes", ""},
		{"/odd:name", "dir", "/odd:name", ""},
		{"s3:bucket/prefix-", "s3", "bucket/prefix-", ""},
		{"rait:{/a,file:/b,MISSING}", "rait", "{/a,file:/b,MISSING}", "/a /b -"},
		{"rait:{s3:x/y,MISSING}", "rait", "{s3:x/y,MISSING}", "x/y -"},
	} {
		p, err := parsePlace(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		var members []string
		for _, m := range p.members {
			if m == nil {
				members = append(members, "-")
			} else {
				members = append(members, m.path)
			}
		}
		if p.kind != c.kind || p.path != c.path || strings.Join(members, " ") != c.members {
			t.Errorf("%s: %s %s %v", c.text, p.kind, p.path, members)
		}
	}
	for _, bad := range []string{"", "file:", "s3:", "rait:", "rait:{}", "rait:{/a}", "rait:/a,/b", "rait:{MISSING,MISSING}", "rait:{{/a,/b},/c}", "rait:{/a,}"} {
		if p, err := parsePlace(bad); err == nil {
			t.Errorf("%q was taken: %+v", bad, p)
		}
	}
}

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
		{"chg-disk:/media/vtapes", "dir", "/media/vtapes", ""},
		{"chg-multi:s3:bucket/vol{1,2}-", "s3", "bucket/vol{1,2}-", ""},
		{"chg-rait:{chg-disk:/a,chg-disk:/b,ERROR}", "rait", "{chg-disk:/a,chg-disk:/b,ERROR}", "/a /b -"},
		{"rait:file:/x/{a,b,c}/slot1", "rait", "file:/x/{a,b,c}/slot1", "/x/a/slot1 /x/b/slot1 /x/c/slot1"},
		{`rait:{/a\,b,/c\}}`, "rait", `{/a\,b,/c\}}`, "/a,b /c}"},
		{"rait:{{/a,/b},/c}", "rait", "{{/a,/b},/c}", "/a /b /c"},
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
	for _, bad := range []string{"", "file:", "s3:", "rait:", "rait:{}", "rait:{/a}", "rait:/a,/b", "rait:{MISSING,MISSING}", "rait:{/a,}", "rait:{/a,/b", "rait:/a}", "s3:/x", "s3:b/{1,2", "rait:{rait:{/a\\,/b},/c}"} {
		if p, err := parsePlace(bad); err == nil {
			t.Errorf("%q was taken: %+v", bad, p)
		}
	}
}

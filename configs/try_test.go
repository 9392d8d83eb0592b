package configs

import (
	"fmt"
	"os"
	"testing"
)

func TestTry(t *testing.T) {
	b, _ := os.ReadFile("/tmp/try.yaml")
	c, err := Parse("/etc/holdfast/holdfast.yaml", b)
	fmt.Printf("%v\n%+v\n", err, c)
	if es, ok := err.(Errors); ok {
		for _, e := range es {
			fmt.Println(e.Excerpt)
		}
	}
}

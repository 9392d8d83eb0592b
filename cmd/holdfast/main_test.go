package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets scripts run this binary as holdfast.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"holdfast": main})
}

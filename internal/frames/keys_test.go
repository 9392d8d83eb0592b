package frames

import (
	"testing"

	"filippo.io/age"
)

func otherIdentity(t testing.TB) []age.Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return []age.Identity{id}
}

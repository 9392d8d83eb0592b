package frames

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"io"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"
	"golang.org/x/crypto/ssh"
)

func otherIdentity(t testing.TB) []age.Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return []age.Identity{id}
}

// keyPair is the text of a public key and of its secret key.
type keyPair struct{ public, secret string }

func sshPair(t *testing.T, key crypto.Signer, passphrase string) keyPair {
	t.Helper()
	block, err := ssh.MarshalPrivateKey(key, "test")
	if passphrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "test", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	public, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return keyPair{string(ssh.MarshalAuthorizedKey(public)), string(pem.EncodeToMemory(block))}
}

// locked encrypts a file of keys with a passphrase, as `age -p` does, cheaply.
func locked(t *testing.T, secret, passphrase string, armored bool) string {
	t.Helper()
	to, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	to.SetWorkFactor(4)
	var out bytes.Buffer
	var dst io.WriteCloser = nopCloser{&out}
	if armored {
		dst = armor.NewWriter(&out)
	}
	w, err := age.Encrypt(dst, to)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.WriteString(w, secret)
	if err := errors.Join(err, w.Close(), dst.Close()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

func say(passphrase string) func() (string, error) {
	return func() (string, error) { return passphrase, nil }
}

// TestKeys encrypts to each kind of public key and reads with the secret one, protected in every way.
func TestKeys(t *testing.T) {
	pq, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	classic := keyPair{testKey().Recipient().String(), "# created: once\n" + testKey().String() + "\n"}
	lockedPair := keyPair{classic.public, locked(t, classic.secret, "secret", false)}
	armoredPair := keyPair{classic.public, "\n" + locked(t, classic.secret, "secret", true)}
	lockedSSH := keyPair{sshPair(t, edKey, "").public, locked(t, sshPair(t, edKey, "").secret, "secret", true)}
	pairs := map[string]keyPair{
		"X25519": classic, "post-quantum": {pq.Recipient().String(), pq.String()},
		"ed25519": sshPair(t, edKey, ""), "rsa": sshPair(t, rsaKey, ""),
		"ed25519 with passphrase": sshPair(t, edKey, "secret"), "rsa with passphrase": sshPair(t, rsaKey, "secret"),
		"locked file": lockedPair, "locked and armored": armoredPair, "locked ssh key": lockedSSH,
	}
	raw := []byte("some bytes")
	for name, pair := range pairs {
		t.Run(name, func(t *testing.T) {
			to, err := LoadRecipients(strings.NewReader("# ours\n\n" + pair.public))
			if err != nil {
				t.Fatal(err)
			}
			ids, err := LoadIdentities(strings.NewReader(pair.secret), say("secret"))
			if err != nil {
				t.Fatal(err)
			}
			checkOpens(t, raw, to, ids)
		})
	}
}

// checkOpens stores raw to the recipients and reads it back.
func checkOpens(t *testing.T, raw []byte, to []age.Recipient, ids []age.Identity) {
	t.Helper()
	var out bytes.Buffer
	if _, err := writeFrames(t.Context(), &out, Options{Level: Fast, Recipients: to}, [][]byte{raw}); err != nil {
		t.Fatal(err)
	}
	if out.Len() != PadBytes {
		t.Errorf("%d bytes stored", out.Len())
	}
	r, err := Open(bytes.NewReader(out.Bytes()), int64(out.Len()), ReadOptions{Compress: true, Identities: ids})
	if err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, r); !bytes.Equal(got, raw) {
		t.Errorf("read %q", got)
	}
}

// TestPassphrase encrypts to a passphrase, which is asked for once and only if needed.
func TestPassphrase(t *testing.T) {
	to, err := age.NewScryptRecipient("secret")
	if err != nil {
		t.Fatal(err)
	}
	to.SetWorkFactor(4)
	asked := 0
	id := newPassphraseIdentity(func() (string, error) { asked++; return "secret", nil })
	checkOpens(t, []byte("a"), []age.Recipient{testKey().Recipient()}, []age.Identity{id, testKey()})
	if asked != 0 {
		t.Error("asked for a passphrase that is not needed")
	}
	for range 2 {
		checkOpens(t, []byte("a"), []age.Recipient{to}, []age.Identity{testKey(), id})
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	var out bytes.Buffer
	if _, err := writeFrames(t.Context(), &out, Options{Recipients: []age.Recipient{to}}, nil); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		ask   func() (string, error)
		is    error
		words string
	}{
		{say("wrong"), ErrNoIdentity, `encrypted to "scrypt"`},
		{nil, nil, "nobody can be asked"},
		{func() (string, error) { return "", io.ErrClosedPipe }, io.ErrClosedPipe, "ask for the passphrase"},
	} {
		o := ReadOptions{Identities: []age.Identity{newPassphraseIdentity(c.ask)}}
		_, err := Open(bytes.NewReader(out.Bytes()), int64(out.Len()), o)
		checkError(t, err, c.is, c.words)
	}
}

// TestKeysRefused lists files of keys that are refused; no message may hold a secret.
func TestKeysRefused(t *testing.T) {
	pq, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, secret := testKey().Recipient().String(), testKey().String()
	load := map[bool]func(string) error{
		true:  func(s string) error { _, err := LoadRecipients(strings.NewReader(s)); return err },
		false: func(s string) error { _, err := LoadIdentities(strings.NewReader(s), say("wrong")); return err },
	}
	for _, c := range []struct {
		recipients  bool
		text, words string
	}{
		{true, "", "read recipients: no recipients"},
		{true, public + "\n" + secret, "line 2: a secret key, not a recipient"},
		{true, public[:20], "line 1: malformed recipient"},
		{true, "age1yubikey1qqqq", "plugins are not supported"},
		{true, "hello", "line 1: not a recipient"},
		{true, public + "\n" + pq.Recipient().String(), "do not mix"},
		{true, sshPair(t, ecKey, "").public, "line 1: not a recipient"},
		{true, strings.Repeat("#", keyFileBytes+1), "more than 1048576 bytes"},
		{false, "# nothing\n", "read identities: no identities"},
		{false, public, "line 1: a public key"},
		{false, secret[:30], "line 1: malformed identity"},
		{false, secret + "x", "malformed identity"},
		{false, "AGE-PLUGIN-YUBIKEY-1QQQ", "plugins are not supported"},
		{false, "my secret", "not an identity"},
		{false, sshPair(t, ecKey, "").secret, "want ed25519 or rsa"},
		{false, sshPair(t, edKey, "secret").secret, "ssh key"},
		{false, locked(t, secret, "secret", true), "encrypted key file: no identity matched: wrong passphrase"},
		{false, locked(t, "", "wrong", false), "no identities"},
		{false, locked(t, secret, "wrong", false)[:190], "encrypted key file"},
	} {
		err := load[c.recipients](c.text)
		checkError(t, err, nil, c.words)
		if err != nil && (strings.Contains(err.Error(), secret[:24]) || strings.Contains(err.Error(), "my secret")) {
			t.Errorf("message holds a secret: %v", err)
		}
	}
	_, err = LoadIdentities(strings.NewReader(sshPair(t, edKey, "secret").secret), nil)
	checkError(t, err, nil, "nobody can be asked")
}

package frames

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"filippo.io/age/armor"
	"golang.org/x/crypto/ssh"
)

// keyFileBytes is the most that a file of keys may hold: post-quantum recipients take 2 KB each.
const keyFileBytes = 1 << 20

// LoadRecipients reads public keys, one a line, in the syntax of `age -R`: age1... (X25519 or post-quantum) and
// ssh-ed25519 or ssh-rsa. Empty lines and lines that begin with # are passed over. No message repeats a line, which may
// be a secret key in the wrong file.
func LoadRecipients(r io.Reader) ([]age.Recipient, error) {
	data, err := readKeyFile(r)
	if err != nil {
		return nil, fmt.Errorf("read recipients: %w", err)
	}
	var to []age.Recipient
	err = eachLine(data, func(line string) error {
		rec, err := parseRecipient(line)
		to = append(to, rec)
		return err
	})
	if err == nil && len(to) == 0 {
		err = errors.New("no recipients in it")
	}
	if err == nil {
		err = checkRecipients(to)
	}
	if err != nil {
		return nil, fmt.Errorf("read recipients: %w", err)
	}
	return to, nil
}

func parseRecipient(line string) (age.Recipient, error) {
	var rec age.Recipient
	var err error
	switch {
	case strings.HasPrefix(line, "AGE-"):
		return nil, errors.New("a secret key, not a recipient: keep it off this machine")
	case strings.HasPrefix(line, "age1pq1"):
		rec, err = age.ParseHybridRecipient(line)
	case strings.HasPrefix(line, "age1") && strings.Count(line, "1") > 1:
		return nil, errors.New("recipients of plugins are not supported")
	case strings.HasPrefix(line, "age1"):
		rec, err = age.ParseX25519Recipient(line)
	case strings.HasPrefix(line, "ssh-"):
		rec, err = agessh.ParseRecipient(line)
	default:
		return nil, errors.New("not a recipient")
	}
	if err != nil {
		return nil, errors.New("malformed recipient")
	}
	return rec, nil
}

// checkRecipients refuses what age would, in words that say what to do.
func checkRecipients(to []age.Recipient) error {
	classic, hybrid := 0, 0
	for _, r := range to {
		switch r.(type) {
		case *age.ScryptRecipient:
			if len(to) > 1 {
				return errors.New("a passphrase must be the only recipient")
			}
		case *age.HybridRecipient:
			hybrid++
		case *age.X25519Recipient, *agessh.Ed25519Recipient, *agessh.RSARecipient:
			classic++
		}
	}
	if classic > 0 && hybrid > 0 {
		return errors.New("post-quantum recipients (age1pq1...) do not mix with others: make all of them post-quantum")
	}
	return nil
}

// LoadIdentities reads secret keys: lines of AGE-SECRET-KEY-..., or one OpenSSH private key, or either of these in a
// file that age encrypted with a passphrase (`age -p`). passphrase is called at most once, and only when the key is
// protected; nil means that nobody can be asked.
func LoadIdentities(r io.Reader, passphrase func() (string, error)) ([]age.Identity, error) {
	data, err := readKeyFile(r)
	if err == nil {
		data, err = openKeyFile(data, passphrase)
	}
	var ids []age.Identity
	if err == nil {
		ids, err = parseIdentities(data, passphrase)
	}
	if err != nil {
		return nil, fmt.Errorf("read identities: %w", err)
	}
	return ids, nil
}

// openKeyFile decrypts a file of keys if it is encrypted, armored or not.
func openKeyFile(data []byte, passphrase func() (string, error)) ([]byte, error) {
	var src io.Reader = bytes.NewReader(data)
	switch trimmed := bytes.TrimSpace(data); {
	case bytes.HasPrefix(trimmed, []byte(armor.Header)):
		src = armor.NewReader(bytes.NewReader(trimmed))
	case !bytes.HasPrefix(data, []byte(ageIntro)):
		return data, nil
	}
	plain, err := age.Decrypt(src, newPassphraseIdentity(passphrase))
	if err != nil {
		return nil, fmt.Errorf("encrypted key file: %w", passphraseError(err))
	}
	data, err = readKeyFile(plain)
	if err != nil {
		return nil, fmt.Errorf("encrypted key file: %w", err)
	}
	return data, nil
}

// passphraseError shortens age's error for the one case that happens daily.
func passphraseError(err error) error {
	var no *age.NoIdentityMatchError
	if errors.As(err, &no) && len(no.StanzaTypes) == 1 && no.StanzaTypes[0] == "scrypt" {
		return fmt.Errorf("%w: wrong passphrase", ErrNoIdentity)
	}
	return err
}

func parseIdentities(data []byte, passphrase func() (string, error)) ([]age.Identity, error) {
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("-----BEGIN")) {
		id, err := parseSSHIdentity(data, passphrase)
		return []age.Identity{id}, err
	}
	var ids []age.Identity
	err := eachLine(data, func(line string) error {
		id, err := parseIdentity(line)
		ids = append(ids, id)
		return err
	})
	if err == nil && len(ids) == 0 {
		err = errors.New("no identities in it")
	}
	return ids, err
}

func parseIdentity(line string) (age.Identity, error) {
	var id age.Identity
	var err error
	switch {
	case strings.HasPrefix(line, "AGE-SECRET-KEY-1"):
		id, err = age.ParseX25519Identity(line)
	case strings.HasPrefix(line, "AGE-SECRET-KEY-PQ-1"):
		id, err = age.ParseHybridIdentity(line)
	case strings.HasPrefix(line, "AGE-PLUGIN-"):
		return nil, errors.New("identities of plugins are not supported")
	case strings.HasPrefix(line, "age1"), strings.HasPrefix(line, "ssh-"):
		return nil, errors.New("a public key, not an identity")
	default:
		return nil, errors.New("not an identity")
	}
	if err != nil {
		return nil, errors.New("malformed identity") // age's words might repeat the key
	}
	return id, nil
}

func parseSSHIdentity(pem []byte, passphrase func() (string, error)) (age.Identity, error) {
	key, err := ssh.ParseRawPrivateKey(pem)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		var secret string
		if secret, err = ask(passphrase); err != nil {
			return nil, fmt.Errorf("ssh key: %w", err)
		}
		key, err = ssh.ParseRawPrivateKeyWithPassphrase(pem, []byte(secret))
	}
	if err != nil {
		return nil, fmt.Errorf("ssh key: %w", err)
	}
	switch key := key.(type) {
	case *ed25519.PrivateKey:
		return agessh.NewEd25519Identity(*key)
	case *rsa.PrivateKey:
		return agessh.NewRSAIdentity(key)
	}
	return nil, fmt.Errorf("ssh key: want ed25519 or rsa, not %T", key)
}

// passphraseIdentity opens streams that are encrypted to a passphrase.
type passphraseIdentity struct {
	identity func() (*age.ScryptIdentity, error)
}

// newPassphraseIdentity opens streams that are encrypted to a passphrase. It asks once, when it first meets such a
// stream. Safe for concurrent use.
func newPassphraseIdentity(passphrase func() (string, error)) age.Identity {
	return passphraseIdentity{identity: sync.OnceValues(func() (*age.ScryptIdentity, error) {
		secret, err := ask(passphrase)
		if err != nil {
			return nil, err
		}
		return age.NewScryptIdentity(secret)
	})}
}

// Unwrap implements age.Identity.
func (p passphraseIdentity) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	if len(stanzas) != 1 || stanzas[0].Type != "scrypt" {
		return nil, fmt.Errorf("%w: not encrypted to a passphrase", age.ErrIncorrectIdentity)
	}
	id, err := p.identity()
	if err != nil {
		return nil, err
	}
	return id.Unwrap(stanzas)
}

func ask(passphrase func() (string, error)) (string, error) {
	if passphrase == nil {
		return "", errors.New("needs a passphrase, and nobody can be asked")
	}
	secret, err := passphrase()
	if err != nil {
		return "", fmt.Errorf("ask for the passphrase: %w", err)
	}
	return secret, nil
}

func readKeyFile(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, keyFileBytes+1))
	if err == nil && len(data) > keyFileBytes {
		err = fmt.Errorf("more than %d bytes", keyFileBytes)
	}
	return data, err
}

// eachLine calls f for the lines that say something, and adds the line's number to its error.
func eachLine(data []byte, f func(line string) error) error {
	scanner := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; scanner.Scan(); n++ {
		line := strings.TrimSpace(scanner.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := f(line); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := scanner.Err(); err != nil {
		return fmt.Errorf("read lines: %w", err)
	}
	return nil
}

package main

import (
	"fmt"
	"os"
	"time"

	"filippo.io/age"
	"github.com/urfave/cli/v2"

	"holdfast/internal/vfs"
)

func (a *app) keyCommand() *cli.Command {
	return &cli.Command{
		Name: "key", Usage: "keys for encrypted dumps",
		Description: `The recipients file stays here and encrypts; the identity decrypts, and belongs somewhere else: without it no
encrypted dump can ever be restored, and whoever has it can read them all.

EXAMPLES
   holdfast key generate --identity /safe/holdfast.key --recipients /etc/holdfast/recipients`,
		Action: a.group,
		Subcommands: []*cli.Command{{
			Name: "generate", Usage: "make a new pair of keys (X25519, of age)",
			Description: `Nothing that exists is overwritten. The identity belongs on paper or in a safe, not on this machine.

EXAMPLES
   holdfast key generate --identity /safe/holdfast.key --recipients /etc/holdfast/recipients
   holdfast key generate --recipients /etc/holdfast/recipients | gpg --symmetric > holdfast.key.gpg`,
			Flags: []cli.Flag{
				&cli.StringFlag{Name: "identity", Aliases: []string{"i"}, Usage: "`FILE` for the secret half; standard output if not given"},
				&cli.StringFlag{Name: "recipients", Aliases: []string{"r"}, Usage: "`FILE` for the public half"},
			},
			Action: a.generateKey,
		}},
	}
}

// generateKey writes both halves; nothing that is there is overwritten, for a key that is lost loses every dump.
func (a *app) generateKey(c *cli.Context) error {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return err
	}
	identity, recipients := c.String("identity"), c.String("recipients")
	for _, path := range []string{identity, recipients} {
		if _, err := os.Lstat(path); path != "" && err == nil {
			return fmt.Errorf("key generate: %s exists, and is not overwritten", path)
		}
	}
	secret := fmt.Sprintf("# created: %s\n# public key: %s\n%s\n", time.Now().Format(time.RFC3339), id.Recipient(), id)
	if identity == "" {
		if _, err := fmt.Fprint(a.stdout, secret); err != nil {
			return err // before anything can be encrypted to a key that nobody has
		}
	} else if err := vfs.WriteFileDurable(vfs.OS(), identity, []byte(secret), 0o600); err != nil {
		return err
	}
	if recipients == "" {
		fmt.Fprintf(a.stderr, "public key: %s\n", id.Recipient())
		return nil
	}
	return vfs.WriteFileDurable(vfs.OS(), recipients, []byte(id.Recipient().String()+"\n"), 0o644)
}

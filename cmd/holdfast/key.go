package main

import (
	"fmt"
	"os"
	"time"

	"filippo.io/age"
	"github.com/urfave/cli/v2"

	"holdfast/configs"
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
	if c.NArg() > 0 {
		return usagef("key generate takes no names: %q", c.Args().First())
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return err
	}
	identity, recipients := c.String("identity"), c.String("recipients")
	for _, path := range []string{identity, recipients} {
		if _, err := os.Lstat(path); path != "" && err == nil {
			return fmt.Errorf("%s exists, and is not overwritten", path)
		}
	}
	secret := fmt.Sprintf("# created: %s\n# public key: %s\n%s\n", time.Now().Format(time.RFC3339), id.Recipient(), id)
	if identity == "" {
		fmt.Fprint(a.stdout, secret)
	} else if err := vfs.WriteFileDurable(vfs.OS(), identity, []byte(secret), 0o600); err != nil {
		return err
	}
	if recipients == "" {
		fmt.Fprintf(a.stderr, "public key: %s\n", id.Recipient())
		return nil
	}
	return vfs.WriteFileDurable(vfs.OS(), recipients, []byte(id.Recipient().String()+"\n"), 0o644)
}

func (a *app) configCommand() *cli.Command {
	return &cli.Command{
		Name: "config", Usage: "look at the configuration", Action: a.group,
		Description: "EXAMPLES\n   holdfast config check\n   holdfast config show",
		Subcommands: []*cli.Command{
			{Name: "show", Usage: "the configuration with every default filled in", Action: func(c *cli.Context) error {
				return a.withConfig(c, func(cfg *configs.Config) error {
					text, err := cfg.Effective()
					if err != nil {
						return err
					}
					_, err = a.stdout.Write(text)
					return err
				})
			}},
			{Name: "check", Usage: "is the file sound? Directories, images and keys are for `holdfast check`", Action: func(c *cli.Context) error {
				return a.withConfig(c, func(cfg *configs.Config) error {
					for _, w := range cfg.Warnings {
						fmt.Fprintf(a.stderr, "holdfast: warning: %s\n", w)
					}
					fmt.Fprintf(a.stdout, "%s is sound: %d images, %d storage\n", cfg.Path, len(cfg.DLEs), len(cfg.Storage))
					return nil
				})
			}},
		},
	}
}

func (a *app) withConfig(c *cli.Context, do func(*configs.Config) error) error {
	cfg, err := loadConfig(c)
	if err != nil {
		return err
	}
	return do(cfg)
}

func (a *app) versionCommand() *cli.Command {
	return &cli.Command{Name: "version", Usage: "print the version", Action: func(*cli.Context) error {
		fmt.Fprintf(a.stdout, "holdfast %s\n", version)
		return nil
	}}
}

package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"holdfast/configs"
)

func (a *app) configCommand() *cli.Command {
	return &cli.Command{
		Name: "config", Usage: "look at the configuration",
		Description: "EXAMPLES\n   holdfast config check\n   holdfast config show",
		Action:      a.group,
		Subcommands: []*cli.Command{
			{
				Name: "show", Usage: "the configuration with every default filled in",
				Description: "EXAMPLES\n   holdfast config show",
				Action:      a.showConfig,
			},
			{
				Name: "check", Usage: "is the file sound?",
				Description: "Directories, images and keys are for `holdfast check`.\n\nEXAMPLES\n   holdfast config check --config new.yaml",
				Action:      a.checkConfig,
			},
		},
	}
}

func (a *app) showConfig(c *cli.Context) error {
	cfg, err := loadConfig(c)
	if err != nil {
		return err
	}
	text, err := cfg.Effective()
	if err != nil {
		return err
	}
	_, err = a.stdout.Write(text)
	return err
}

func (a *app) checkConfig(c *cli.Context) error {
	cfg, err := loadConfig(c)
	if err != nil {
		return err
	}
	a.warn(cfg)
	fmt.Fprintf(a.stdout, "%s is sound: %d images, %d storage\n", cfg.Path, len(cfg.DLEs), len(cfg.Storage))
	return nil
}

// warn prints what is sound in a configuration and yet odd.
func (a *app) warn(cfg *configs.Config) {
	for _, w := range cfg.Warnings {
		a.say("warning", w)
	}
}

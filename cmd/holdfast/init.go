package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"holdfast/configs"
	"holdfast/dumpers/file"
	"holdfast/internal/vfs"
	nightly "holdfast/scheduler/run"
)

func (a *app) initCommand() *cli.Command {
	return &cli.Command{
		Name: "init", Usage: "find images, write a configuration, make the vtapes",
		Description: `Finds raw and qcow2 images in DIR, not in directories within it, and which of them are overlays or copies of one
another; writes a commented configuration with one entry an image and sizes that leave a tenth of the file system
free; makes the vtape library. Nothing that is there is overwritten.

EXAMPLES
   holdfast init --images /var/lib/libvirt/images
   holdfast init --images ./images --vtapes /backup/vtapes --holding /fast/holding --config night.yaml`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "images", Usage: "`DIR` with the images (must be given)"},
			&cli.StringFlag{Name: "vtapes", Usage: "`DIR` for the vtapes", DefaultText: "vtapes beside the configuration"},
			&cli.StringFlag{Name: "holding", Usage: "`DIR` for the holding disk", DefaultText: "holding beside the configuration"},
			&cli.StringFlag{Name: "state", Usage: "`DIR` for the catalog", DefaultText: "state beside the configuration"},
			&cli.StringFlag{Name: "org", Usage: "`NAME` of the site, for reports", Value: "holdfast"},
		},
		Action: a.init,
	}
}

// initPaths are the directories of a new site, absolute.
type initPaths struct{ config, images, vtapes, holding, state string }

func pathsOfInit(c *cli.Context) (initPaths, error) {
	config := "holdfast.yaml"
	if c.IsSet(configFlag) && c.String(configFlag) != "" {
		config = c.String(configFlag)
	}
	config, err := filepath.Abs(config)
	p := initPaths{config: config}
	for _, flag := range []struct {
		name string
		to   *string
	}{{"images", &p.images}, {"vtapes", &p.vtapes}, {"holding", &p.holding}, {"state", &p.state}} {
		value := c.String(flag.name)
		if value == "" {
			*flag.to = filepath.Join(filepath.Dir(config), flag.name)
			continue
		}
		var absErr error
		*flag.to, absErr = filepath.Abs(value)
		err = errors.Join(err, absErr)
	}
	return p, err
}

func (a *app) init(c *cli.Context) error {
	if c.String("images") == "" {
		return usagef("init wants --images DIR, the directory with the images")
	}
	p, err := pathsOfInit(c)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(p.config); err == nil {
		return withHint(fmt.Errorf("%s exists, and is not overwritten", p.config), "name another file with --config, or edit this one")
	}
	images, err := a.findImages(c, p.images)
	if err != nil {
		return err
	}
	for _, dir := range []string{filepath.Dir(p.config), p.vtapes, p.holding, p.state} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	o := configs.GenerateOptions{Org: c.String("org"), State: p.state, Vtapes: p.vtapes, Holding: p.holding, Images: images}
	if o.FreeBytes, o.HoldingFreeBytes, err = freeBytes(p.vtapes, p.holding); err != nil {
		return err
	}
	text := configs.Generate(o)
	cfg, err := configs.Parse(p.config, text)
	if err != nil {
		return fmt.Errorf("the configuration made for these images is not sound: %w", err)
	}
	_, err = nightly.Opener{FS: vfs.OS()}.Open(c.Context, cfg.MainStorage())
	found := err == nil // a library of an earlier configuration: its volumes stay what they are
	if err := (nightly.Opener{FS: vfs.OS()}).Create(c.Context, cfg.MainStorage()); err != nil {
		return err
	}
	if err := vfs.WriteFileDurable(vfs.OS(), p.config, text, 0o600); err != nil {
		return err
	}
	a.toldInit(p, cfg, images, found)
	a.noteDirectories(c, p.images)
	return nil
}

// findImages looks for images, and for what they have to do with one another.
func (a *app) findImages(c *cli.Context, dir string) ([]configs.Image, error) {
	found, err := file.Discover(c.Context, dir)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, withHint(fmt.Errorf("no images in %s", dir), "images are files named *.qcow2, *.raw or *.img")
	}
	var images []configs.Image
	for _, f := range found {
		images = append(images, configs.Image{
			VM: f.VM, Disk: "disk0", Path: f.Path, Format: configs.Format(f.Format), SizeBytes: f.SizeBytes,
			UsedBytes: f.AllocatedBytes, Err: f.Err,
		})
	}
	images = configs.Judged(images)
	return images, a.relate(c, found, images)
}

// relate finds the base of each image, among those that are not left out. Found and images are in the same order.
func (a *app) relate(c *cli.Context, found []file.Found, images []configs.Image) error {
	vm := map[string]string{}
	for i := range found {
		found[i].Err = images[i].Err // what is left out is nobody's base
		vm[found[i].Path] = images[i].VM
	}
	relations, err := file.Relations(c.Context, found)
	if c.Context.Err() != nil {
		return c.Context.Err()
	}
	if err != nil {
		// The others are compared all the same, and this one is only dumped whole.
		fmt.Fprintf(a.stderr, "holdfast: warning: not compared with the other images: %v\n", err)
	}
	for _, r := range relations {
		for i := range images {
			if images[i].Path == r.Image {
				images[i].Base = vm[r.Base]
			}
		}
	}
	return nil
}

// noteDirectories names the directories in dir that hold images, too: whoever keeps some there must not think that
// they are backed up.
func (a *app) noteDirectories(c *cli.Context, dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // it has been read a moment ago
	}
	for _, e := range entries {
		inside := filepath.Join(dir, e.Name())
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if found, err := file.Discover(c.Context, inside); err != nil || len(found) > 0 {
			a.say("warning", fmt.Sprintf("not searched: %s: add entries for the images in it by hand", inside))
		}
	}
}

// freeBytes tells the room for vtapes, and for the holding disk if it is on another file system (else 0).
func freeBytes(vtapes, holding string) (free, holdingFree int64, err error) {
	v, err := vfs.OS().Space(vtapes)
	if err != nil {
		return 0, 0, err
	}
	same, err := sameFileSystem(vtapes, holding)
	if err != nil || same {
		return v.Free, 0, err
	}
	h, err := vfs.OS().Space(holding)
	return v.Free, h.Free, err
}

func sameFileSystem(a, b string) (bool, error) {
	var device [2]uint64
	for i, path := range []string{a, b} {
		info, err := os.Stat(path)
		if err != nil {
			return false, err
		}
		device[i] = deviceOf(info)
	}
	return device[0] == device[1], nil
}

func (a *app) toldInit(p initPaths, cfg *configs.Config, images []configs.Image, found bool) {
	for _, i := range images {
		switch {
		case i.Err != nil:
			fmt.Fprintf(a.stdout, "%-20s left out: %v\n", i.VM, i.Err)
		case i.Base != "":
			fmt.Fprintf(a.stdout, "%-20s %s, a clone or copy of %s\n", i.VM, i.Format, i.Base)
		default:
			fmt.Fprintf(a.stdout, "%-20s %s\n", i.VM, i.Format)
		}
	}
	st := cfg.MainStorage()
	fmt.Fprintf(a.stdout, "\nwrote %s\n", p.config)
	if found {
		fmt.Fprintf(a.stdout, "found vtapes in %s, and left what is on them\n", st.Path)
	} else {
		fmt.Fprintf(a.stdout, "made %d vtapes in %s\n", st.Slots, st.Path)
	}
	fmt.Fprintf(a.stdout, "next: holdfast --config %s check\n", p.config)
}

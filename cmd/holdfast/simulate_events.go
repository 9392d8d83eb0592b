package main

import (
	"math"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"holdfast/reports"
	"holdfast/scheduler/sim"
)

// events adds and drops disks and lets them fail, as the flags say.
func (s *simulation) events(c *cli.Context, disks []*sim.Disk) ([]*sim.Disk, error) {
	for _, text := range c.StringSlice("add") {
		what, night, err := s.at(text)
		if err != nil {
			return nil, err
		}
		name, sizeText, ok := strings.Cut(what, "=")
		bytes, err := parseBytes(sizeText)
		if !ok || err != nil || bytes <= 0 {
			return nil, usagef("--add %s: want VM=SIZE@DATE", text)
		}
		d := sim.NewDisk(name, bytes, c.Float64("growth")/100, c.Float64("change")/100)
		if !c.IsSet("change") {
			d = sim.NewDisk(name, bytes, c.Float64("growth")/100, sim.UsualChange)
		}
		d.From = night
		disks = append(disks, d)
	}
	for _, text := range c.StringSlice("drop") {
		night, named, err := s.named(text, disks)
		if err != nil {
			return nil, err
		}
		for _, d := range named {
			d.Until = max(1, night)
		}
	}
	for _, text := range c.StringSlice("fail") {
		night, named, err := s.named(text, disks)
		if err != nil {
			return nil, err
		}
		for _, d := range named {
			d.Fail(night)
		}
	}
	return disks, nil
}

// named gives the disks of a VM, or one of them, and the night of `VM@DATE`.
func (s *simulation) named(text string, disks []*sim.Disk) (int, []*sim.Disk, error) {
	name, night, err := s.at(text)
	if err != nil {
		return 0, nil, err
	}
	var named []*sim.Disk
	for _, d := range disks {
		if d.DLE().VM == name || d.DLE().String() == name {
			named = append(named, d)
		}
	}
	if named == nil {
		return 0, nil, usagef("%s: no image of that name", text)
	}
	return night, named, nil
}

// at splits `WHAT@DATE`; the date is given as the number of the night.
func (s *simulation) at(text string) (what string, night int, err error) {
	what, date, ok := strings.Cut(text, "@")
	day, err := time.ParseInLocation(time.DateOnly, date, s.settings.Begin.Location())
	if !ok || err != nil {
		return "", 0, usagef("%s: want NAME@DATE with a date as 2026-12-24", text)
	}
	y, m, d := s.settings.Begin.Date()
	first := time.Date(y, m, d, 0, 0, 0, 0, s.settings.Begin.Location())
	night = int(math.Round(day.Sub(first).Hours() / 24))
	if night < 0 {
		return "", 0, usagef("%s: the date is before the first night", text)
	}
	return what, night, nil
}

// simulated is an answer as the report prints it.
func simulated(answer sim.Answer) reports.Simulation {
	s := reports.Simulation{LeastBytes: answer.LeastBytes, Figures: []reports.SimulatedFigures{figuresOf("HOLDFAST", answer.Figures)}}
	if answer.Compared != nil {
		s.Figures = append(s.Figures, figuresOf("COMPARED", *answer.Compared))
	}
	for _, n := range answer.Nights {
		s.Nights = append(s.Nights, reports.SimulatedNight{
			Date: n.Date, Bytes: n.Bytes, SpaceBytes: n.SpaceBytes, HoldingBytes: n.HoldingBytes, Levels: n.Levels[:],
			Late: n.Late, Failed: n.Failed, Volumes: n.VolumesUsed, Chain: n.LongestChain, Fault: n.Fault,
		})
	}
	return s
}

func figuresOf(name string, f sim.Figures) reports.SimulatedFigures {
	return reports.SimulatedFigures{
		Name: name, MaxToMean: f.MaxToMean, Variation: f.Variation, Variation2: f.Variation2, CycleBytes: f.CycleBytes,
		TotalBytes: f.TotalBytes, LateFulls: f.LateFulls, LateNights: f.LateNights, Fulls: f.Fulls, Promotions: f.Promotions,
		LongestChain: f.LongestChain, NotDumped: f.NotDumped,
	}
}

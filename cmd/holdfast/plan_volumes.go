package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"holdfast/catalog"
	"holdfast/reports"
	"holdfast/scheduler/retention"
)

// plannedVolume is a volume as plan tells of it: may the next run write over it, and why, or why not?
type plannedVolume struct {
	Label   catalog.Label     `json:"label"`
	Storage string            `json:"storage"`
	Verdict retention.Verdict `json:"verdict"`
}

// planVolumes judges the volumes of the storages that the next run writes to.
func planVolumes(c *cli.Context, s *site) ([]plannedVolume, error) {
	verdicts, volumes, err := s.Judge(c.Context, "")
	if err != nil {
		return nil, err
	}
	out := []plannedVolume{}
	for _, st := range s.ChooseStorages(c.Context) {
		for _, v := range volumes {
			if v.Storage == st.Name {
				verdict, _ := verdicts.Of(v.Label)
				out = append(out, plannedVolume{v.Label, v.Storage, verdict})
			}
		}
	}
	return out, nil
}

// printPlanVolumes writes them below the plan; nothing before there are any.
func (a *app) printPlanVolumes(s *site, volumes []plannedVolume) error {
	if len(volumes) == 0 {
		return nil
	}
	fmt.Fprintln(a.stdout)
	t := reports.Table{Header: []string{"VOLUME", "STORAGE", "REUSE"}, Right: []bool{false, false, false}}
	for _, v := range volumes {
		t.Rows = append(t.Rows, []string{string(v.Label), v.Storage, verdictText(v.Verdict, s.Now().Location())})
	}
	return t.Write(a.stdout)
}

package reports

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// SimulatedNight is one line of a simulation.
type SimulatedNight struct {
	Date                            time.Time
	Bytes, SpaceBytes, HoldingBytes int64
	Levels                          []int
	Late, Failed, Volumes, Chain    int
	Fault                           string
}

// SimulatedFigures are the sums of a simulation, or of the nights that it is compared with.
type SimulatedFigures struct {
	Name                                string
	MaxToMean, Variation, Variation2    float64
	CycleBytes, TotalBytes              int64
	LateFulls, LateNights, Fulls        int
	Promotions, LongestChain, NotDumped int
}

// Simulation is a simulation to print; Figures stand beside one another.
type Simulation struct {
	Nights     []SimulatedNight
	Figures    []SimulatedFigures
	LeastBytes int64
}

// SimulationText writes a line a night, and the figures below.
func SimulationText(w io.Writer, s Simulation) error {
	t := Table{
		Header: []string{"NIGHT", "DATE", "BYTES", "FULL", "LEVELS 1-9", "LATE", "FAILED", "VOLUMES", "SPACE", "HOLDING", "CHAIN", ""},
		Right:  []bool{true, false, true, true, false, true, true, true, true, true, true},
	}
	for i, n := range s.Nights {
		levels := n.Levels[1:]
		for len(levels) > 0 && levels[len(levels)-1] == 0 {
			levels = levels[:len(levels)-1]
		}
		t.Rows = append(t.Rows, []string{
			fmt.Sprint(i + 1), n.Date.Format(time.DateOnly), size(n.Bytes), fmt.Sprint(n.Levels[0]), strings.Trim(fmt.Sprint(levels), "[]"), fmt.Sprint(n.Late), fmt.Sprint(n.Failed),
			fmt.Sprint(n.Volumes), size(n.SpaceBytes), size(n.HoldingBytes), fmt.Sprint(n.Chain), n.Fault,
		})
	}
	if err := t.Write(w); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return s.figures().Write(w)
}

func (s Simulation) figures() Table {
	t := Table{Header: []string{""}, Right: []bool{false}}
	rows := [][]string{
		{"largest night over mean, after the first cycle"}, {"coefficient of variation, after the first cycle"},
		{"coefficient of variation, after the second cycle"}, {"bytes a cycle"}, {"bytes of all nights"}, {"fulls"}, {"late fulls"},
		{"nights by which disks were late"}, {"promotions"}, {"longest chain"}, {"disk-nights not dumped"},
	}
	for _, f := range s.Figures {
		t.Header, t.Right = append(t.Header, f.Name), append(t.Right, true)
		for i, v := range []string{
			fmt.Sprintf("%.3f", f.MaxToMean), fmt.Sprintf("%.4f", f.Variation), fmt.Sprintf("%.4f", f.Variation2), fmt.Sprint(f.CycleBytes),
			fmt.Sprint(f.TotalBytes), fmt.Sprint(f.Fulls), fmt.Sprint(f.LateFulls), fmt.Sprint(f.LateNights), fmt.Sprint(f.Promotions),
			fmt.Sprint(f.LongestChain), fmt.Sprint(f.NotDumped),
		} {
			rows[i] = append(rows[i], v)
		}
	}
	t.Rows = rows
	if s.LeastBytes > 0 {
		t.Rows = append(t.Rows, []string{"no plan can take less in all nights than", fmt.Sprint(s.LeastBytes)})
	}
	return t
}

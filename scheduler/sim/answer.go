package sim

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"holdfast/scheduler"
)

// Answer is all that a simulation tells.
type Answer struct {
	// Warning is that the library is oversubscribed; empty when not.
	Warning string  `json:"warning,omitempty"`
	Cycle   int     `json:"cycle_days"`
	Nights  []Night `json:"nights"`
	Figures Figures `json:"figures"`
	// LeastBytes is what all nights take at least, however they are planned.
	LeastBytes int64 `json:"least_bytes"`
	// Compared are the figures of other nights that were set beside these.
	Compared *Figures `json:"compared,omitempty"`
}

// UsualChange is the part of an image that is taken to change from night to night where nothing is known of it.
const UsualChange = 0.05

// ChangeOf gives the part of an image that changes from night to night, by its incrementals of one night.
func ChangeOf(img scheduler.Image) float64 {
	var bytes, n float64
	for i := 1; i < len(img.Dumps); i++ {
		if d, base := img.Dumps[i], img.Dumps[i-1]; d.Base == base.ID && d.Level > 0 {
			bytes, n = bytes+float64(d.OrigBytes), n+1
		}
	}
	if n == 0 || img.AllocatedBytes == 0 {
		return UsualChange
	}
	return math.Min(1, bytes/n/float64(img.AllocatedBytes))
}

// RatioOf gives what compression has left of an image's dumps, 0 when there are none.
func RatioOf(img scheduler.Image) float64 {
	var orig, stored float64
	for _, d := range img.Dumps {
		orig, stored = orig+float64(d.OrigBytes), stored+float64(d.StoredBytes)
	}
	if orig == 0 {
		return 0
	}
	return stored / orig
}

// WriteNightsCSV writes one line a night.
func WriteNightsCSV(w io.Writer, nights []Night) error {
	out := csv.NewWriter(w)
	_ = out.Write([]string{"night", "date", "bytes", "fulls", "incrementals", "late", "failed", "volumes_filled", "volumes_used",
		"space_bytes", "holding_bytes", "longest_chain", "fault"}) // kept until Flush
	for _, n := range nights {
		rec := []string{strconv.Itoa(n.Night), n.Date.Format("20060102"), strconv.FormatInt(n.Bytes, 10)}
		for _, v := range []int{n.Levels[0], n.Incrementals(), n.Late, n.Failed, n.VolumesFilled, n.VolumesUsed} {
			rec = append(rec, strconv.Itoa(v))
		}
		_ = out.Write(append(rec, strconv.FormatInt(n.SpaceBytes, 10), strconv.FormatInt(n.HoldingBytes, 10), strconv.Itoa(n.LongestChain), n.Fault))
	}
	out.Flush()
	return out.Error()
}

// Incrementals counts the dumps of all levels but 0.
func (n Night) Incrementals() int {
	sum := 0
	for _, count := range n.Levels[1:] {
		sum += count
	}
	return sum
}

// Size of the plot, in its own units.
const (
	plotWidth, plotHeight = 960, 320
	plotMargin            = 40
)

// WriteSVG draws the nights as bars of bytes, those that could not be written in red, with a line at the mean.
func WriteSVG(w io.Writer, nights []Night) error {
	most, sum := int64(1), int64(0)
	for _, n := range nights {
		most, sum = max(most, n.Bytes), sum+n.Bytes
	}
	high := float64(plotHeight - 2*plotMargin)
	y := func(bytes int64) float64 { return plotHeight - plotMargin - high*float64(bytes)/float64(most) }
	step := float64(plotWidth-2*plotMargin) / float64(max(1, len(nights)))
	out := &quiet{w: w}
	out.printf("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"11\">\n", plotWidth, plotHeight)
	for i, n := range nights {
		colour := "#4477aa"
		if n.Fault != "" {
			colour = "#cc3311"
		}
		out.printf("<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"><title>%s: %d bytes, %d fulls, %d incrementals</title></rect>\n",
			plotMargin+float64(i)*step, y(n.Bytes), step*0.8, plotHeight-plotMargin-y(n.Bytes), colour,
			n.Date.Format(time.DateOnly), n.Bytes, n.Levels[0], n.Incrementals())
	}
	mean := y(sum / int64(max(1, len(nights))))
	out.printf("<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#333\" stroke-dasharray=\"4 3\"/>\n", plotMargin, plotWidth-plotMargin, mean, mean)
	out.printf("<text x=\"%d\" y=\"%d\">bytes a night, at most %d; dashed: the mean</text>\n", plotMargin, plotMargin/2, most)
	if len(nights) > 0 {
		out.printf("<text x=\"%d\" y=\"%d\">%s to %s</text>\n", plotMargin, plotHeight-plotMargin/3,
			nights[0].Date.Format(time.DateOnly), nights[len(nights)-1].Date.Format(time.DateOnly))
	}
	out.printf("</svg>\n")
	return out.err
}

// quiet writes until the first error, and keeps that.
type quiet struct {
	w   io.Writer
	err error
}

func (q *quiet) printf(format string, args ...any) {
	if q.err == nil {
		_, q.err = fmt.Fprintf(q.w, format, args...)
	}
}

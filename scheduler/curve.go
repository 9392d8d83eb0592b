package scheduler

import (
	"math"
	"time"

	"holdfast/catalog"
)

const (
	// curvePower is how changes add up over days where nothing is known: bytes after d days are daily x d^0.85, as most
	// images write some of their blocks again and again.
	curvePower = 0.85
	// curveTrust is the weight of that in the fit, as if so much had been observed.
	curveTrust = 0.3
	// curveDumps is how many of the last dumps are looked at; each older one counts curveFade of the next.
	curveDumps, curveFade = 12, 0.9
)

// curve forecasts how much of an image changes in a time.
type curve struct{ daily, power float64 }

// after gives the bytes that change within some days.
func (c curve) after(days float64) float64 {
	if days <= 0 {
		return 0
	}
	if days == 1 {
		return c.daily
	}
	return c.daily * math.Pow(days, c.power)
}

// seen is one incremental: how many days of changes it holds.
type seen struct {
	base   catalog.DumpID
	days   float64
	bytes  float64
	weight float64
}

// observed gives the last incrementals of an image whose base is known, the newest first.
func observed(img *Image, loc *time.Location) []seen {
	var out []seen
	weight := 1.0
	first := max(0, len(img.Dumps)-curveDumps)
	for i := len(img.Dumps) - 1; i >= first; i-- {
		d := img.Dumps[i]
		for j := i - 1; j >= 0 && d.Level > 0; j-- {
			if b := img.Dumps[j]; b.ID == d.Base {
				days := daysBetween(b.Stamp.Time(loc), d.Stamp.Time(loc))
				out = append(out, seen{d.Base, max(days, 1.0/24), max(1, float64(d.OrigBytes)), weight})
				weight *= curveFade
				break
			}
		}
	}
	return out
}

// fitCurve gives the power curve nearest to what was observed (least squares of the logarithms, with the usual power as
// one more observation), and daily as what makes it right in the mean. Without any, unknownDaily is the daily change.
func fitCurve(obs []seen, unknownDaily float64) curve {
	c := curve{daily: unknownDaily, power: curvePower}
	if len(obs) == 0 {
		return c
	}
	var w, x, y, xx, xy float64
	for _, o := range obs {
		lx, ly := math.Log(o.days), math.Log(o.bytes)
		w, x, y = w+o.weight, x+o.weight*lx, y+o.weight*ly
		xx, xy = xx+o.weight*lx*lx, xy+o.weight*lx*ly
	}
	spread, slope := xx-x*x/w, xy-x*y/w
	c.power = min(1.1, max(0.1, (slope+curveTrust*curvePower)/(spread+curveTrust)))
	c.daily = 0
	for _, o := range obs {
		c.daily += o.weight / w * o.bytes / math.Pow(o.days, c.power)
	}
	return c
}

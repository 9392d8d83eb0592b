package scheduler

// pace is how long the dumps of an image take, by the last ones.
type pace struct {
	// secondsPerByte before compression, of fulls; 0 when nothing is known.
	secondsPerByte float64
	// incrementalSeconds is the mean of incrementals, which may read the whole image to find little.
	incrementalSeconds float64
}

func newPace(img *Image, siteSecondsPerByte float64) pace {
	var fulls, incrementals []float64
	for i := len(img.Dumps) - 1; i >= max(0, len(img.Dumps)-2*curveDumps); i-- {
		d := img.Dumps[i]
		switch seconds := d.Ended.Sub(d.Started).Seconds(); {
		case seconds <= 0:
		case d.Level > 0:
			incrementals = append(incrementals, seconds)
		case d.OrigBytes > 0:
			fulls = append(fulls, seconds/float64(d.OrigBytes))
		}
	}
	p := pace{secondsPerByte: siteSecondsPerByte}
	if mean, ok := recentMean(fulls); ok {
		p.secondsPerByte = mean
	}
	p.incrementalSeconds, _ = recentMean(incrementals)
	if len(incrementals) == 0 {
		p.incrementalSeconds = 0
	}
	return p
}

// full is how many seconds a full of so many bytes takes, 0 when nothing is known.
func (p pace) full(origBytes int64) float64 { return p.secondsPerByte * float64(origBytes) }

// incremental is how many seconds an incremental of so many bytes takes.
func (p pace) incremental(origBytes int64) float64 {
	return max(p.incrementalSeconds, p.full(origBytes))
}

// sitePace is the mean of the latest fulls of all images, for those that have none.
func sitePace(images []*Image) float64 {
	var bytes, seconds float64
	for _, img := range images {
		for i := len(img.Dumps) - 1; i >= 0; i-- {
			if d := img.Dumps[i]; d.Level == 0 {
				if took := d.Ended.Sub(d.Started).Seconds(); took > 0 {
					bytes, seconds = bytes+float64(d.OrigBytes), seconds+took
				}
				break
			}
		}
	}
	if bytes == 0 {
		return 0
	}
	return seconds / bytes
}

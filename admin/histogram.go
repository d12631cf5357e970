package admin

import "time"

// perOctave is how finely durations are told apart: within a tenth.
const (
	perOctave     = 8
	perOctaveBits = 3
	buckets       = 40 * perOctave
)

// A histogram counts durations from a microsecond on, in eighths of octaves.
type histogram struct {
	counts [buckets]uint32
	n      uint64
	worst  time.Duration
}

func (h *histogram) add(d time.Duration) {
	h.counts[bucket(d)]++
	h.n++
	h.worst = max(h.worst, d)
}

func (h *histogram) merge(o *histogram) {
	if o.n == 0 {
		return
	}
	for i, c := range o.counts {
		h.counts[i] += c
	}
	h.n += o.n
	h.worst = max(h.worst, o.worst)
}

// quantile is the duration that a share of them did not exceed.
func (h *histogram) quantile(share float64) time.Duration {
	seen := uint64(0)
	for i, c := range h.counts {
		if seen += uint64(c); h.n > 0 && float64(seen) >= share*float64(h.n) {
			return min(upper(i), h.worst)
		}
	}
	return h.worst
}

// bucket finds the place of a duration without a logarithm.
func bucket(d time.Duration) int {
	us, octave := uint64(max(d/time.Microsecond, 1)), 0
	for us>>octave > 1 {
		octave++
	}
	part := (us<<perOctaveBits>>octave - perOctave) % perOctave
	return min(octave*perOctave+int(part), buckets-1)
}

// upper is the end of a bucket.
func upper(i int) time.Duration {
	octave, part := i/perOctave, i%perOctave
	return time.Duration(uint64(perOctave+part+1)<<octave>>perOctaveBits+1) * time.Microsecond
}

// A timing is a histogram, with the sum of what it counts.
type timing struct {
	took histogram
	sum  time.Duration
}

func (t *timing) add(d time.Duration) {
	t.took.add(d)
	t.sum += d
}

package forebay

import (
	"os"
	"strconv"
)

// A Switch says whether a cache is off: then every call goes to the origin, for its caller alone, and nothing is stored. Names, types,
// keys and options are checked as ever, and statistics count each call as a bypass.
type Switch uint8

const (
	// ByEnvironment: off where the environment has FOREBAY_OFF=1, or another value that is true; for development.
	ByEnvironment Switch = iota
	// NeverOff: on, whatever the environment says; for tests of what a cache does.
	NeverOff
	// AlwaysOff: off.
	AlwaysOff
)

func (s Switch) isOff() bool {
	if s == ByEnvironment {
		off, err := strconv.ParseBool(os.Getenv("FOREBAY_OFF"))
		return off && err == nil
	}
	return s == AlwaysOff
}

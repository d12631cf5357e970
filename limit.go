package forebay

// A Limit is a bound of something that a process has a limited number of, and how far it is used.
type Limit struct {
	Name    string `json:"name"`
	Used    int64  `json:"used"`
	Max     int64  `json:"max"`
	Refused uint64 `json:"refused"` // since the start
}

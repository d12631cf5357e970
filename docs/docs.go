// Package docs is the manual; its tests run it.
package docs

import _ "embed"

// Requirements is requirements.md: what was asked for, where it is, and how it was measured.
//
//go:embed requirements.md
var Requirements string

package demo

import (
	"time"

	"github.com/forebay-cache/forebay"
)

// Classes are the platform's kinds of data and how long each lives. None keeps "not found": no
// refusal of the platform is stored.
var Classes = []forebay.Class{
	{Name: "chat", TTL: 5 * time.Minute, NotFound: -1},
	{Name: "partner_data", TTL: 15 * time.Minute, Strict: true, NotFound: -1},
	{Name: "template_data", TTL: 30 * time.Minute, Stale: 5 * time.Minute, NotFound: -1},
	{Name: "status_data", TTL: 2 * time.Minute, Stale: 30 * time.Second, NotFound: -1},
	{Name: "session_data", TTL: time.Hour, Strict: true, Private: true, NotFound: -1},
	{Name: "api_response", TTL: 5 * time.Minute, NotFound: -1},
}

// runningTTL is how long the state of a query is kept that will still change.
const runningTTL = 2 * time.Second

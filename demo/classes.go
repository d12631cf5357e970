package demo

import (
	"time"

	"github.com/forebay-cache/forebay"
)

// Classes are the platform's kinds of data and how long each lives.
var Classes = []forebay.Class{
	{Name: "chat", TTL: 5 * time.Minute},
	{Name: "partner_data", TTL: 15 * time.Minute, Strict: true},
	{Name: "template_data", TTL: 30 * time.Minute, Stale: 5 * time.Minute},
	{Name: "status_data", TTL: 2 * time.Minute, Stale: 30 * time.Second},
	{Name: "session_data", TTL: time.Hour, Strict: true, Private: true},
	{Name: "api_response", TTL: 5 * time.Minute},
}

// runningTTL is how long the state of a query is kept that will still change.
const runningTTL = 2 * time.Second

package httpcache

// notStored is why a response is not stored, as the statistics name it.
type notStored string

const (
	requestNoStore  notStored = "request-no-store"
	notModified     notStored = "status-304"
	anError         notStored = "error"
	setsCookie      notStored = "set-cookie"
	notUnderstood   notStored = "must-understand"
	saysNoStore     notStored = "no-store"
	saysPrivate     notStored = "private"
	hasCredentials  notStored = "authorization"
	variesOnAll     notStored = "vary"
	otherStatus     notStored = "status"
	noFreshness     notStored = "no-freshness"
	tooLarge        notStored = "too-large-or-partial"
	tooManyTags     notStored = "too-many-tags"
	noRoom          notStored = "no-room"
	brokenEvents    notStored = "events"
	leftAlone       notStored = "left-alone"
	notWorthKeeping notStored = "stale-on-arrival"
)

// bypass is why the cache has no part in a request, as Cache-Status and the statistics name it; empty: it has.
type bypass string

const (
	clientNoStore  bypass = "request-no-store"
	noCaller       bypass = "no-caller"
	byRule         bypass = "rule"
	cacheOff       bypass = "off"
	upgrades       bypass = "upgrade"
	repeatedField  bypass = "repeated-field"
	hasBody        bypass = "body" // it may change the answer, and is in no key
	conditional    bypass = "precondition"
	uriTooLong     bypass = "uri-too-long"
	ambiguous      bypass = "path"
	incremental    bypass = "incremental" // it must not be held back (RFC 10036)
	bodyTooLarge   bypass = "body-too-large"
	otherMethod    bypass = "method"
	notStoredSoFar bypass = "not-stored" // it was asked for as others ask, and its response proved not storable
	bodyNotJSON    bypass = "body-not-json"
	changes        bypass = "mutation" // GraphQL that does not only read
)

// missReason is why a request was forwarded, in the words of RFC 9211, section 2.2, as far as they go.
type missReason string

const (
	uriMiss       missReason = "uri-miss"
	varyMiss      missReason = "vary-miss"
	byRequest     missReason = "request"
	isStale       missReason = "stale"
	isPartial     missReason = "partial"
	isInvalidated missReason = "invalidated" // stale, because somebody said so
	byMethod      missReason = "method"
)

// forward is the reason in the vocabulary of RFC 9211.
func (r missReason) forward() string {
	if r == isInvalidated {
		r = isStale
	}
	return string(r)
}

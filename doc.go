// Package forebay keeps an API's answers ready. [Wrap] puts a cache in front of a function:
//
//	cache, err := forebay.Open(ctx, forebay.Options{})
//	partners, err := forebay.Wrap(cache, "partner_data", db.Partners)
//	list, err := partners.Get(ctx, "acme")   // has the type of db.Partners
//
// A request goes one way:
//
//	request → key → near tier → load (one for all who ask) → near tier → answer
//	                  └ valid? (ledger of invalidations)
//
// # Keys
//
// A key is the function's name and the parameter's fields: "partner_data:org_id=acme,q=,". A
// struct's exported fields go by their `forebay` tag ("-" leaves one out), else in snake case; maps
// are sorted; a single value stands alone: "partner_data:acme,". Keys over 200 bytes, and those of
// private classes, end in a hash.
//
// # Classes
//
// A [Class] says how long a kind of data lives and what is served when its load is slow, fails or
// is not allowed. It is plain data.
//
// # Invalidation
//
// [Cache.Invalidate] names a key, a tag, a class, a pattern or everything. A load that began before
// an invalidation is never served after it.
package forebay

// Package forebay keeps an API's answers ready: in the process, and in Redis for all nodes of a service. [Wrap] puts a cache in
// front of a function:
//
//	cache, err := forebay.Open(ctx, forebay.Options{})
//	partners, err := forebay.Wrap(cache, "partner_data", db.Partners)
//	list, err := partners.Get(ctx, "acme")         // has the type of db.Partners
//	receipt, err := partners.Invalidate(ctx, "acme") // on every node
//
// What is not "as the class says" of one function is an [Option] of Wrap ([KeyBy], [KeepBy], [EncodeBy], [BatchBy], [CloneBy]); of
// one call, a [CallOption] of [Func.Do]. The examples below show each thing that a program does; package forebaytest is for its
// tests, metrics and otel for its operators.
//
// A request goes one way. Both tiers hold entries; what the log says of them is asked before one is served:
//
//	request → key → near tier → shared tier → lease → load → both tiers → answer
//	                └──── valid? (the log) ────┘    (one for all callers)
//
// The shared tier, which nodes share, is [Options.Shared]: package redis opens one on Redis or Valkey. Without it a
// cache has its near tier alone, and needs neither log nor lease.
//
// # Keys
//
// A key is the function's name and the parameter's fields: "partner_data:org_id=acme,q=,". A
// struct's exported fields go by their `forebay` tag ("-" leaves one out), otherwise in snake case; maps
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
//
// # The lower layer
//
// [Wrap] is written on [Space], [Fill], [Found] and [BeginOptions]: a look-up, a load that callers join, and what
// may be done with either. A cache with keys of its own, such as package httpcache, is written on them too; others
// need none of it.
package forebay

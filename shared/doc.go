// Package shared is for those who write a tier that nodes share: the interface [Tier], the records of the log
// that joins the nodes, and [Memory], a tier in this process. Package redis implements it on Redis and Valkey;
// package sharedtest holds the contract as tests. Users of a cache rarely import it.
package shared

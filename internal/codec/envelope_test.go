package codec

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/forebay-cache/forebay/shared"
)

// The envelope is what other versions read: its bytes are fixed here.
func TestEnvelope(t *testing.T) {
	e := Envelope{
		Key: "c:org_id=acme,", Class: "c", Stamp: shared.Stamp{Epoch: "EPOCH", ID: shared.ID{Ms: 1732300000000, Seq: 7}}, Created: time.UnixMilli(1732300000123),
		Fresh: time.Minute, Stale: 2 * time.Minute, Dead: time.Hour, Took: 350 * time.Millisecond,
		Tags: []string{"org:acme", ""}, Codec: CBOR, Compressed: true, Payload: []byte("payload"),
	}
	b := e.Bytes(nil)
	got, err := OpenEnvelope(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.Key != e.Key || got.Class != e.Class || got.Stamp != e.Stamp || !got.Created.Equal(e.Created) || got.Fresh != e.Fresh ||
		got.Stale != e.Stale || got.Dead != e.Dead || got.Took != e.Took || !slices.Equal(got.Tags, e.Tags) || got.Codec != e.Codec ||
		!got.Compressed || got.NotFound || !bytes.Equal(got.Payload, e.Payload) {
		t.Errorf("got %+v", got)
	}
	const want = "\x01\x01\x02\x0ec:org_id=acme,\x01c\x05EPOCH\x80\x96\x81\xa9\xb52\a\xf6\xad\x82\xd2\xead\xc0\xa9\a\x80\xd3\x0e\x80\xba\xb7\x03\xb0\xae\x15\x02\borg:acme\x00\apayload"
	if string(b[:len(b)-4]) != want {
		t.Errorf("the form changed: %q", b)
	}
	for cut := range len(b) {
		if _, err := OpenEnvelope(b[:cut], nil); err == nil {
			t.Errorf("accepted %d of %d bytes", cut, len(b))
		}
	}
	for i := range b {
		flipped := bytes.Clone(b)
		flipped[i] ^= 0x40
		if _, err := OpenEnvelope(flipped, nil); err == nil {
			t.Errorf("accepted byte %d flipped", i)
		}
	}
}

func FuzzEnvelope(f *testing.F) {
	e := Envelope{Key: "k", Class: "c", Tags: []string{"t"}, Payload: []byte("p"), Created: time.UnixMilli(0)}
	f.Add(e.Bytes(nil))
	f.Add([]byte{1, 1, 0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		OpenHeader(b)
		if e, err := OpenEnvelope(b, nil); err == nil && !bytes.HasPrefix(b, e.Bytes(nil)[:3]) {
			t.Errorf("%q is read as %+v", b, e)
		}
		var v map[string]any
		for _, id := range []ID{CBOR, JSON, Raw, 9} {
			Decode(id, b, false, &v)
			if len(b) < 200 { // a longer one may stand for a gigabyte, and take its time
				Decode(id, b, true, &v)
			}
		}
	})
}

// What the shared tier's form of a value of 1 KiB costs, with and without keys.
func BenchmarkEnvelope(b *testing.B) {
	keys := [][]byte{[]byte("a key that is long enough")}
	for name, ring := range map[string]*Keyring{"plain": nil, "signed": NewKeyring(keys, false), "encrypted": NewKeyring(keys, true)} {
		e := Envelope{Key: "c:org_id=acme,", Class: "c", Stamp: shared.Stamp{Epoch: "epoch", ID: shared.ID{Ms: 1, Seq: 2}}, Created: time.UnixMilli(1), Payload: make([]byte, 1024)}
		b.Run(name+"/write", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				e.Bytes(ring)
			}
		})
		text := e.Bytes(ring)
		b.Run(name+"/read", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := OpenEnvelope(text, ring); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

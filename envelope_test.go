package forebay

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/forebay-cache/forebay/shared"
)

// The envelope is what other versions read: its bytes are fixed here.
func TestEnvelope(t *testing.T) {
	e := envelope{
		key: "c:org_id=acme,", class: "c", stamp: shared.Stamp{Epoch: "EPOCH", ID: shared.ID{Ms: 1732300000000, Seq: 7}}, created: time.UnixMilli(1732300000123),
		fresh: time.Minute, stale: 2 * time.Minute, dead: time.Hour, took: 350 * time.Millisecond,
		tags: []string{"org:acme", ""}, codec: idCBOR, compressed: true, payload: []byte("payload"),
	}
	b := e.bytes(nil)
	got, err := openEnvelope(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.key != e.key || got.class != e.class || got.stamp != e.stamp || !got.created.Equal(e.created) || got.fresh != e.fresh ||
		got.stale != e.stale || got.dead != e.dead || got.took != e.took || !slices.Equal(got.tags, e.tags) || got.codec != e.codec ||
		!got.compressed || got.notFound || !bytes.Equal(got.payload, e.payload) {
		t.Errorf("got %+v", got)
	}
	const want = "\x01\x01\x02\x0ec:org_id=acme,\x01c\x05EPOCH\x80\x96\x81\xa9\xb52\a\xf6\xad\x82\xd2\xead\xc0\xa9\a\x80\xd3\x0e\x80\xba\xb7\x03\xb0\xae\x15\x02\borg:acme\x00\apayload"
	if string(b[:len(b)-4]) != want {
		t.Errorf("the form changed: %q", b)
	}
	for cut := range len(b) {
		if _, err := openEnvelope(b[:cut], nil); err == nil {
			t.Errorf("accepted %d of %d bytes", cut, len(b))
		}
	}
	for i := range b {
		flipped := bytes.Clone(b)
		flipped[i] ^= 0x40
		if _, err := openEnvelope(flipped, nil); err == nil {
			t.Errorf("accepted byte %d flipped", i)
		}
	}
}

func FuzzEnvelope(f *testing.F) {
	e := envelope{key: "k", class: "c", tags: []string{"t"}, payload: []byte("p"), created: time.UnixMilli(0)}
	f.Add(e.bytes(nil))
	f.Add([]byte{1, 1, 0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		openHeader(b)
		if e, err := openEnvelope(b, nil); err == nil && !bytes.HasPrefix(b, e.bytes(nil)[:3]) {
			t.Errorf("%q is read as %+v", b, e)
		}
		var v map[string]any
		for _, id := range []codecID{idCBOR, idJSON, idRaw, 9} {
			decodeValue(id, b, false, &v)
			if len(b) < 200 { // a longer one may stand for a gigabyte, and take its time
				decodeValue(id, b, true, &v)
			}
		}
	})
}

// What the shared tier's form of a value of 1 KiB costs, with and without keys.
func BenchmarkEnvelope(b *testing.B) {
	keys := [][]byte{[]byte("a key that is long enough")}
	for name, ring := range map[string]*keyring{"plain": nil, "signed": newKeyring(keys, false), "encrypted": newKeyring(keys, true)} {
		e := envelope{key: "c:org_id=acme,", class: "c", stamp: shared.Stamp{Epoch: "epoch", ID: shared.ID{Ms: 1, Seq: 2}}, created: time.UnixMilli(1), payload: make([]byte, 1024)}
		b.Run(name+"/write", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				e.bytes(ring)
			}
		})
		text := e.bytes(ring)
		b.Run(name+"/read", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := openEnvelope(text, ring); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

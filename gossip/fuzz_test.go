package gossip

import (
	"bytes"
	"testing"
	"time"
)

func FuzzEnvelope(f *testing.F) {
	own, _ := testSigner(f)
	f.Add(own.seal(kindVector, []byte("payload")))
	f.Add((&envelope{kind: kindCertAsk, payload: appendText(nil, askFrom, "a")}).encode())
	f.Add([]byte{8, 1, 16, 99})
	f.Fuzz(func(t *testing.T, frame []byte) {
		e, err := openEnvelope(frame)
		if err != nil {
			return
		}
		again, err := openEnvelope(e.encode())
		if err != nil || again.kind != e.kind || again.key != e.key || !bytes.Equal(again.payload, e.payload) {
			t.Errorf("does not survive: %+v, %v", again, err)
		}
	})
}

func FuzzDigest(f *testing.F) {
	f.Add(encodeDigest(&Digest{Region: "eu-1", Group: "eu", Version: Version{3, 4}, PolicyVersion: "abc", Agents: 2, Ready: 5, InFlight: 6}))
	f.Add([]byte{10, 255})
	f.Fuzz(func(t *testing.T, payload []byte) {
		d, err := decodeDigest(payload)
		if err != nil {
			return
		}
		b := encodeDigest(d)
		again, err := decodeDigest(b)
		if err != nil || *again != *d || len(b)+envelopeOverhead > MaxDigest {
			t.Errorf("does not survive: %+v, %+v, %v, %d bytes", d, again, err, len(b))
		}
	})
}

func FuzzVector(f *testing.F) {
	f.Add(encodeVector(&Vector{
		Region: "eu-1", Version: Version{3, 4}, Draining: true,
		Agents:  []AgentInfo{{Name: "a", MeshAddr: "1.2.3.4:7444", EdgeAddr: "e:1", WANAddr: "w:2", Version: "v1.2.3", Draining: true}},
		Targets: map[string]TargetLoad{"telemetry": fullTarget(), "telemetry/canary": {}},
		RTTs:    map[string]time.Duration{"us-1": 80 * time.Millisecond},
	}))
	f.Fuzz(func(t *testing.T, payload []byte) {
		v, err := decodeVector(payload)
		if err != nil {
			return
		}
		b := encodeVector(v)
		again, err := decodeVector(b)
		if err != nil || !bytes.Equal(encodeVector(again), b) {
			t.Errorf("does not survive: %v", err)
		}
		if h, err := peekHead(b); err != nil || h.Version != v.Version || h.Region != v.Region {
			t.Errorf("peeked %+v, %v", h, err)
		}
	})
}

func FuzzLoad(f *testing.F) {
	for _, payload := range splitLoad(origin{"a", 1, 2}, Load{Targets: manyTargets(40), Draining: true, PolicyVersion: "p"}, 0, 700) {
		f.Add(payload)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		l, err := decodeLoad(payload)
		if err != nil {
			return
		}
		b := l.encode()
		again, err := decodeLoad(b)
		if err != nil || !bytes.Equal(again.encode(), b) {
			t.Errorf("does not survive: %v", err)
		}
	})
}

func FuzzVerdict(f *testing.F) {
	f.Add((&claimFrame{origin: origin{"a", 1, 2}, Regions: []string{"eu-1", "us-1"}}).encode())
	f.Fuzz(func(t *testing.T, payload []byte) {
		c, err := decodeClaim(payload)
		if err != nil {
			return
		}
		b := c.encode()
		again, err := decodeClaim(b)
		if err != nil || !bytes.Equal(again.encode(), b) {
			t.Errorf("does not survive: %v", err)
		}
	})
}

func FuzzMeta(f *testing.F) {
	m := Meta{Region: "eu-1", Group: "eu", MeshAddr: "a:1", EdgeAddr: "b:2", Version: "1", Draining: true}
	f.Add("a", m.encode(9))
	f.Fuzz(func(t *testing.T, name string, b []byte) {
		m, run, err := decodeMeta(name, b)
		if err != nil {
			return
		}
		again, same, err := decodeMeta(name, m.encode(run.life))
		if err != nil || again != m || same.life != run.life || m.check() != nil {
			t.Errorf("does not survive: %+v, %v", again, err)
		}
	})
}

func FuzzBundle(f *testing.F) {
	f.Add(joinBundle([][]byte{[]byte("one"), []byte("two")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		frames := splitBundle(b)
		if again := splitBundle(joinBundle(frames)); len(again) != len(frames) {
			t.Errorf("%d frames became %d", len(frames), len(again))
		}
	})
}

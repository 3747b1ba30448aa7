package gossip

import (
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

const (
	reportFrom   protowire.Number = 1
	reportRegion protowire.Number = 2 // empty: the load of the agent that is asked
	reportTerm   protowire.Number = 3
	reportSeq    protowire.Number = 4

	answerBytes = 1 << 20 // a second, of reports to those who ask
)

// reportAsk asks an agent of the LAN for what follows a version.
type reportAsk struct {
	From, Region string
	Have         Version
}

func (q *reportAsk) encode() []byte {
	b := appendText(nil, reportFrom, q.From)
	b = appendText(b, reportRegion, q.Region)
	b = appendUint(b, reportTerm, q.Have.Term)
	return appendUint(b, reportSeq, q.Have.Seq)
}

func decodeReportAsk(payload []byte) (q reportAsk, err error) {
	err = eachField(payload, func(f field) (err error) {
		switch {
		case f.is(reportFrom, protowire.BytesType):
			q.From, err = f.name("agent", MaxAgentName)
		case f.is(reportRegion, protowire.BytesType):
			q.Region, err = f.name("region", MaxRegionName)
		case f.is(reportTerm, protowire.VarintType):
			q.Have.Term = f.n
		case f.is(reportSeq, protowire.VarintType):
			q.Have.Seq = f.n
		}
		return err
	})
	return q, err
}

// askForReport asks one gateway at a time, in turns, for what this agent misses
// of a region. What a probe brought is pulled again instead.
func (m *Mesh) askForReport(region string, have Version, a arrival, now time.Time) bool {
	fellows := m.fellows()
	last := m.book.asked[region]
	if a.pool == nil || len(fellows) == 0 || now.Sub(last.at) < askAgain {
		return false
	}
	evictAny(m.book.asked, 2*MaxRegions)
	m.book.asked[region] = asked{now, last.times + 1}
	m.askReport(fellows[last.times%len(fellows)], reportAsk{m.cfg.Name, region, have})
	return true
}

// asked is when a region's report was asked for last.
type asked struct {
	at    time.Time
	times int
}

func (m *Mesh) askReport(peer *poolPeer, q reportAsk) {
	if peer.format < formatDelta {
		return
	}
	frame := (&envelope{kind: kindReportAsk, payload: q.encode()}).encode()
	m.send(sending{pool: m.lan, to: []*poolPeer{peer}, frame: frame, topic: "ask report"})
}

func (m *Mesh) answerReport(e *envelope, a arrival, now time.Time) error {
	q, err := decodeReportAsk(e.payload)
	if err != nil {
		return err
	}
	peer := m.book.lan[q.From]
	if a.pool != m.lan || peer == nil || q.From == m.cfg.Name {
		return refuse(dropStranger, ErrForged, "a report is asked for by %q, who is no other live member", q.From)
	}
	if q.Region == "" {
		m.book.loadAsked[q.From] = true
		return nil
	}
	r := m.book.regions[q.Region]
	if r == nil || r.vector == nil {
		return nil
	}
	message := joinBundle(r.base.since(q.Have))
	if len(message) == 0 {
		return nil
	}
	if !m.reports.AllowN(now, min(len(message), answerBytes)) {
		return refuse(dropRateExceeded, ErrFrame, "too many reports are asked for")
	}
	m.send(sending{pool: m.lan, to: []*poolPeer{peer}, frame: message, topic: "report/" + r.name, reliable: len(message) > maxDatagram})
	return nil
}

package main

import "math"

// model is what gossip costs in closed form, for meshes too large to be simulated:
// regions of so many agents and services each, whose numbers change all the time. docs/scale.md explains the formulas; a test compares them with what was
// measured. Bytes are those of a second, sent and received.
type model struct{ regions, agents, services int }

// What frames and datagrams take, see docs/gossip.md.
const (
	head      = 105 // bytes of a delta or load without entries
	wrap      = 78  // a datagram around them: IP, UDP, encryption, label
	pullCost  = 100 // QUIC around a pull
	entry     = 3.2 // bytes for each service: 8, for the share of them that has something to say
	largest   = 1_180
	gateways  = 3
	relaysAt  = 16 // agents beside the gateways
	opinions  = 10 // a second, to each of the other gateways
	ofOpinion = 117
	ofDigest  = 129
	digestsAt = 30 // seconds
	copies    = 2  // × log10 of the members: how often each sends a digest
)

func (m model) relayed() bool { return m.agents-gateways >= relaysAt }

// large: the package shrinks what it says.
func (m model) large() bool { return m.agents > relaysAt }

// deltas of one region in a second.
func (m model) deltas() float64 {
	if m.large() {
		return 1 / 0.6
	}
	return 2
}

// delta is the bytes of one.
func (m model) delta() float64 {
	room := 205.0
	if m.large() {
		room = min(room, max(40, 4_000/float64(m.regions)-150))
	}
	return head + min(room, entry*float64(m.services))
}

// bundles is what one gateway sends to one receiver: a third of all regions' deltas, as
// many in a datagram as came within 150 ms, or 100.
func (m model) bundles() float64 {
	rate := float64(m.regions) / gateways * m.deltas()
	wait := 0.15
	if m.large() {
		wait = 0.1
	}
	flushes := rate / (1 + wait*rate)
	datagrams := math.Ceil(rate / flushes * m.delta() / largest)
	return rate*m.delta() + flushes*datagrams*wrap
}

// groups that a gateway sends a bundle to one of each.
func (m model) groups() float64 {
	return max(math.Floor(math.Sqrt(float64(m.agents-gateways))/3), 2)
}

// load is the bytes of an agent's, and how many it sends to each gateway in a second.
func (m model) load() (bytes, rate float64) {
	room, rate := 240.0, 2.0
	if m.large() {
		room, rate = max(40, 240*relaysAt/float64(m.agents)), 1/0.75
	}
	return head + min(room, entry*float64(m.services)) + wrap, rate
}

// members is memberlist's part: a probe a second, asked and answered; digests, which each
// member passes on a few times; the state of all, exchanged every 30 s, less often among
// more than 32; and an operator's word, which is repeated to two.
func (m model) members() float64 {
	n := float64(m.agents)
	probes := 4 * 140.0
	digests := 2 * float64(m.regions) / digestsAt * copies * math.Ceil(math.Log10(n+1)) * (ofDigest + wrap)
	every := 30.0
	if n > 32 {
		every *= math.Ceil(math.Log2(n)-5) + 1
	}
	exchanges := 4 * n * 180 / every
	word := 4 * 350.0
	return probes + digests + exchanges + word
}

// other is an agent that is no gateway: it gets every bundle, passes on its part, and
// tells the gateways its load.
func (m model) other() float64 {
	got := gateways * m.bundles()
	sent := 0.0
	if m.relayed() {
		sent = got * (1 - m.groups()/float64(m.agents-gateways))
	}
	load, rate := m.load()
	return got + sent + gateways*rate*load + m.members()
}

// gateway gets everybody's load, pulls a third of the other regions' deltas and is pulled
// from as often, passes them on, and tells its fellows what it hears.
func (m model) gateway() float64 {
	load, rate := m.load()
	loads := float64(m.agents-gateways)*rate*load + 2*2*4*load
	pulls := 2 * float64(m.regions) / gateways * m.deltas() * (m.delta() + pullCost)
	to := float64(m.agents - 1)
	if m.relayed() {
		to = gateways - 1 + m.groups()
	}
	claims := 4 * opinions * float64(ofOpinion+wrap)
	wan := model{m.regions, gateways * m.regions, m.services}.members()
	return loads + pulls + m.bundles()*(to+gateways-1) + claims + m.members() + wan
}

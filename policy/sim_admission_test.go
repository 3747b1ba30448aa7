package policy_test

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"time"

	"github.com/tidegate/tidegate/policy"
)

// oneService is a service of some slots, held for a time each, with a queue
// inside, and several agents in front of it, under virtual time.
type oneService struct {
	rng    *rand.Rand
	start  time.Time
	now    time.Duration
	events simEvents
	order  int

	slots, busy int
	hold        time.Duration
	sigma       float64 // of a lognormal holding time of mean hold; 0: constant
	first       int     // requests that take slow times as long, because the service has just begun
	slow        float64
	inside      []*simRequest

	agents        []*policy.Admission
	load          [4]float64 // requests per second by class, over all agents
	spilled       bool
	share         []float64 // of each agent; nil: equal
	deadline      time.Duration
	paused        time.Duration // until then nothing happens in the agents
	pausedService time.Duration
	seen          []simSecond
	decided       func(r *simRequest, v policy.Admit)
	tenant        func() (overQuota func() bool, end func(), who int)
}

type simRequest struct {
	agent          int
	class          policy.Class
	rank           policy.Rank
	came, admitted time.Duration
	deadline       time.Duration
	over           bool
	end            func()
	who            int
	left           bool // the agent no longer waits for it
}

// simSecond counts by 100 ms of arrival, answers by when they came.
type simSecond struct {
	arrived, admitted, good [4]int
	shed                    [4]int
	work, expiredWork       int
	latency                 [4][]time.Duration
	limit                   int
	threshold               policy.Rank
	byAgent                 [8]int
	byWho, okWho            [2]int
}

const simWindow = 100 * time.Millisecond

func newOneService(seed uint64, agents, slots int, hold time.Duration) *oneService {
	s := &oneService{rng: rand.New(rand.NewPCG(seed, 1)), start: time.Unix(1_700_000_000, 0), slots: slots, hold: hold}
	for i := range agents {
		s.agents = append(s.agents, policy.NewAdmission(policy.DefaultAdmissionConfig(), s.start))
		s.agents[i].SetAgents(agents)
		s.after(simWindow*time.Duration(i+1)/time.Duration(agents), func() { s.tick(i) })
	}
	for c := range s.load {
		s.after(0, func() { s.arrive(policy.Class(c)) })
	}
	return s
}

func (s *oneService) time() time.Time { return s.start.Add(s.now) }

func (s *oneService) window() *simSecond {
	for len(s.seen) <= int(s.now/simWindow) {
		s.seen = append(s.seen, simSecond{})
	}
	return &s.seen[s.now/simWindow]
}

func (s *oneService) tick(agent int) {
	if s.now < s.paused {
		s.after(s.paused-s.now, func() { s.tick(agent) })
		return
	}
	s.agents[agent].Tick(s.time())
	stats := s.agents[agent].Stats()
	w := s.window()
	w.limit += stats.Limit
	w.threshold = max(w.threshold, stats.Threshold)
	s.after(simWindow, func() { s.tick(agent) })
}

func (s *oneService) arrive(c policy.Class) {
	if s.load[c] <= 0 {
		s.after(10*time.Millisecond, func() { s.arrive(c) })
		return
	}
	s.enter(c)
	s.after(time.Duration(s.rng.ExpFloat64()/s.load[c]*float64(time.Second)), func() { s.arrive(c) })
}

func (s *oneService) enter(c policy.Class) {
	if s.now < s.paused {
		s.after(s.paused-s.now, func() { s.enter(c) })
		return
	}
	r := &simRequest{agent: s.pickAgent(), class: c, came: s.now}
	if s.tenant != nil {
		over, end, who := s.tenant()
		r.over, r.end, r.who = over(), end, who
	}
	r.rank = policy.RankOf(c, uint8(s.rng.IntN(128)), s.spilled, r.over)
	entry := policy.Entry{Rank: r.rank}
	if s.deadline > 0 {
		r.deadline = s.now + s.deadline
		entry.Deadline = s.time().Add(s.deadline)
	}
	w := s.window()
	w.arrived[c]++
	w.byWho[r.who]++
	waiter := &policy.Waiter{Decided: func(v policy.Admit) { s.decide(r, v) }}
	if v := s.agents[r.agent].Enter(s.time(), entry, waiter); v.Verdict != policy.Queued {
		s.decide(r, v)
	}
}

func (s *oneService) pickAgent() int {
	if s.share == nil {
		return s.rng.IntN(len(s.agents))
	}
	draw := s.rng.Float64()
	for i, share := range s.share {
		if draw -= share; draw < 0 {
			return i
		}
	}
	return len(s.agents) - 1
}

func (s *oneService) decide(r *simRequest, v policy.Admit) {
	if s.decided != nil {
		s.decided(r, v)
	}
	w := s.window()
	if v.Verdict == policy.Shed {
		w.shed[r.class]++
		if r.end != nil {
			r.end()
		}
		return
	}
	w.admitted[r.class]++
	w.byAgent[r.agent]++
	r.admitted = s.now
	s.inside = append(s.inside, r)
	if r.deadline > 0 {
		s.after(r.deadline-s.now, func() { s.giveUp(r) })
	}
	s.serve()
}

// giveUp ends the wait for an answer. The service does not know of it.
func (s *oneService) giveUp(r *simRequest) {
	if !r.left {
		s.leave(r, policy.Sample{Latency: s.now - r.admitted, Outcome: policy.OutcomeAbandoned, Class: r.class})
	}
}

func (s *oneService) leave(r *simRequest, sample policy.Sample) {
	r.left = true
	if r.end != nil {
		r.end()
	}
	s.agents[r.agent].Leave(s.time(), sample)
}

// serve begins what waits inside of the service while it has slots.
func (s *oneService) serve() {
	for s.busy < s.slots && len(s.inside) > 0 {
		r := s.inside[0]
		s.inside = s.inside[1:]
		s.busy++
		w := s.window()
		w.work++
		if r.deadline > 0 && s.now > r.deadline {
			w.expiredWork++
		}
		took := s.holding()
		if s.first > 0 {
			s.first--
			took = time.Duration(float64(took) * s.slow)
		}
		if s.now < s.pausedService {
			took += s.pausedService - s.now
		}
		s.after(took, func() { s.finish(r) })
	}
}

func (s *oneService) holding() time.Duration {
	if s.sigma == 0 {
		return s.hold
	}
	factor := math.Exp(s.sigma*s.rng.NormFloat64() - s.sigma*s.sigma/2)
	return time.Duration(float64(s.hold) * factor)
}

func (s *oneService) finish(r *simRequest) {
	s.busy--
	s.serve()
	s.answer(r)
}

func (s *oneService) answer(r *simRequest) {
	if s.now < s.paused {
		s.after(s.paused-s.now, func() { s.answer(r) })
		return
	}
	if r.left {
		return
	}
	w := s.window()
	w.good[r.class]++
	w.okWho[r.who]++
	w.latency[r.class] = append(w.latency[r.class], s.now-r.came)
	s.leave(r, policy.Sample{Latency: s.now - r.admitted, Class: r.class})
}

// run goes on for a while.
func (s *oneService) run(d time.Duration) {
	until := s.now + d
	for len(s.events) > 0 && s.events[0].at <= until {
		e := heap.Pop(&s.events).(simEvent)
		s.now = e.at
		e.do()
	}
	s.now = until
}

func (s *oneService) after(d time.Duration, do func()) {
	s.order++
	heap.Push(&s.events, simEvent{s.now + max(0, d), s.order, do})
}

type simEvent struct {
	at    time.Duration
	order int
	do    func()
}

type simEvents []simEvent

func (e simEvents) Len() int { return len(e) }
func (e simEvents) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].order < e[j].order
}
func (e simEvents) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *simEvents) Push(x any)   { *e = append(*e, x.(simEvent)) }
func (e *simEvents) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

//go:build linux

package lab

// allDrills in the order in which they run.
func allDrills() []drill {
	return []drill{
		{name: "region-cut", run: (*exercise).regionCut,
			hypothesis: "eu-2 is cut off from regions and devices: what needed it succeeds elsewhere within 1 s, and returns"},
		{name: "region-killed", run: (*exercise).regionKilled,
			hypothesis: "everything in eu-2 is killed, Consul too: what needed it succeeds elsewhere within 1 s, and returns"},
		{name: "consul-down", run: (*exercise).consulDown,
			hypothesis: "the Consul server of eu-1, then all of them are down: no request fails for it"},
		{name: "gateways-killed", run: (*exercise).gatewaysKilled,
			hypothesis: "the gateways of eu-2 are killed one after the other, the lead first, and started again: no region is given up, other edges do not notice"},
		{name: "asymmetric", run: (*exercise).asymmetric,
			hypothesis: "what eu-1 sends to eu-2 is lost, the other way works: what needed eu-2 succeeds elsewhere within 1 s"},
		{name: "lossy", run: (*exercise).lossy,
			hypothesis: "20% loss and up to 200 ms more delay each way between eu-1 and us-1: no region is given up, nothing flaps"},
		{name: "brown-out", run: (*exercise).brownOut, prepare: (*exercise).ordinaryPace, cleanUp: (*exercise).noPace,
			hypothesis: "services of eu-2 become tenfold slower, their checks pass: alarms get through, what finds no room goes elsewhere"},
		{name: "partition", run: (*exercise).partition,
			hypothesis: "us-1 is cut off from both other regions, not from devices: both sides serve their own, and find each other again without a storm"},
		{name: "rolling-restart", run: (*exercise).rollingRestart,
			hypothesis: "every agent is restarted, one after the other: nothing fails that could be served, devices are told to go"},
		{name: "full-return", run: (*exercise).fullReturn, homes: []string{"eu-2"},
			hypothesis: "eu-2 is away for long, all its devices wait for it: they come back with it, others do not notice"},
		{name: "bad-policy", run: (*exercise).badPolicy,
			hypothesis: "a policy that is bad is pushed, then a good one: the bad one changes nothing, the good one is everywhere, no request fails"},
		{name: "clock-jump", run: (*exercise).clockJump, prepare: (*exercise).openToFaults, cleanUp: (*exercise).closeToFaults,
			hypothesis: "the clock of an agent jumps an hour ahead, and back: no request fails"},
		{name: "disk-full", run: (*exercise).diskFull,
			hypothesis: "the disk of an agent is full: it says so, and goes on"},
		{name: "paused", run: (*exercise).paused,
			hypothesis: "the lead of eu-2 is paused for 5 s: no region is given up, other edges do not notice"},
		{name: "no-files", run: (*exercise).noFiles,
			hypothesis: "an agent may open no more files: other edges do not notice, it serves again when it may"},
		{name: "reconnect-storm", run: (*exercise).reconnectStorm,
			hypothesis: "600 devices lose their connections to eu-2 and come back, again and again: no region is given up, other edges do not notice"},
		{name: "neighbours", run: (*exercise).neighbours, prepare: (*exercise).goBack, cleanUp: (*exercise).goForth,
			hypothesis: "half of the agents run the previous release, and are upgraded one after the other: nothing fails that could be served"},
	}
}

package config

// Fault opens the agent to faults that operators inject, for drills. Every agent of
// a mesh that rehearses has the same block.
type Fault struct {
	// Enabled takes faults. Default false: none can be added, and nothing stands
	// between the agent and its sockets.
	Enabled bool `hcl:"enabled"`
	// Addr is where agents tell one another of faults, over TCP with mutual TLS. No
	// fault touches it, so that each can be lifted. The port is the same at all
	// agents. Default ":7445".
	Addr string `hcl:"addr"`
	// Token that whoever adds or ends a fault has to show, beside what the control
	// API asks for; at least 16 characters. Required with Enabled.
	Token Secret `hcl:"token"`
}

func (l *loader) checkFault() {
	switch token := l.config.Fault.Token.Reveal(); {
	case token == "":
		l.fault("fault.token", "is required with fault.enabled: set a token of %d characters or more", minTokenLength)
	case len(token) < minTokenLength:
		l.fault("fault.token", "is shorter than %d characters", minTokenLength)
	}
}

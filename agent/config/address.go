package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// splitAddress reads "host:port" or ":port"; the port is a number.
func splitAddress(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, fmt.Errorf(`%q is not "host:port" or ":port"`, addr)
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("%q has no port between 0 and 65535", addr)
	}
	if strings.ContainsAny(host, " /\\@?#") {
		return "", 0, fmt.Errorf("%q: %q is neither an address nor a name", addr, host)
	}
	return host, port, nil
}

// reachable checks an address that others are to dial.
func reachable(addr string) error {
	host, port, err := splitAddress(addr)
	switch {
	case err != nil:
		return err
	case port == 0:
		return fmt.Errorf("%q: others cannot reach port 0", addr)
	case everyInterface(host):
		return fmt.Errorf("%q: others need a name or an address before the port", addr)
	}
	return nil
}

func everyInterface(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// listener is one address to open, for comparison with the others.
type listener struct {
	key, host string
	port      int
}

func (a listener) clashes(b listener) bool {
	return a.port == b.port && a.port != 0 &&
		(a.host == b.host || everyInterface(a.host) || everyInterface(b.host))
}

func (l *loader) checkListeners() {
	const key = "listeners."
	c := l.config.Listeners
	open := []listener{
		l.bind(key+"edge", c.Edge.Addr, c.Edge.Advertise),
		l.bind(key+"mesh", c.Mesh.Addr, c.Mesh.Advertise),
		l.bind(key+"lan", c.LAN.Addr, c.LAN.Advertise),
		l.bind(key+"wan", c.WAN.Addr, c.WAN.Advertise),
		l.control(key+"admin", &l.config.Listeners.Admin),
	}
	if len(c.Admin.Clients) > 0 {
		l.fault(key+"admin.clients", "is for the egress alone")
	}
	if c.Egress != nil {
		open = append(open, l.control(key+"egress", c.Egress))
		l.checkClients(key+"egress.clients", c.Egress)
	}
	if c.MQTT != nil {
		open = append(open, l.bind(key+"mqtt", c.MQTT.Addr, ""))
	}
	if c.Ready != nil {
		open = append(open, l.bind(key+"ready", c.Ready.Addr, ""))
	}
	if l.config.Fault.Enabled {
		open = append(open, l.bind("fault", l.config.Fault.Addr, ""))
		l.checkFault()
	}
	l.checkBalancers(c.Edge)
	for i, a := range open {
		for _, b := range open[:i] {
			if a.clashes(b) {
				l.fault(a.key+".addr", "port %d is taken by %s.addr already", a.port, b.key)
			}
		}
	}
}

// checkClients does not show what is at fault: it may be a token.
func (l *loader) checkClients(key string, c *Control) {
	tokens := map[string]bool{c.Token.Reveal(): true}
	names := map[string]bool{}
	for i, client := range c.Clients {
		name, token, ok := strings.Cut(client.Reveal(), ":")
		switch {
		case !ok:
			l.fault(key, `entry %d is not "NAME:TOKEN"`, i+1)
			continue
		case len(token) < minTokenLength:
			l.fault(key, "the token of entry %d is shorter than %d characters", i+1, minTokenLength)
		case tokens[token]:
			l.fault(key, "the token of entry %d is there twice", i+1)
		case names[name]:
			l.fault(key, "the name %q is there twice", name)
		}
		l.name(key, name)
		tokens[token], names[name] = true, true
	}
}

func (l *loader) checkBalancers(c EdgeBind) {
	const key = "listeners.edge."
	if _, err := c.ProxyPrefixes(); err != nil {
		l.fault(key+"proxy_protocol_from", "%v", err)
	}
	lb := c.QUICLB
	if lb == nil {
		return
	}
	l.within(key+"quic_lb.config_id", int64(lb.ConfigID), 0, 6)
	id := lb.Server()
	if len(id) < 1 || len(id) > 15 {
		l.fault(key+"quic_lb.server_id", "%q is not 1 to 15 bytes in hex", lb.ServerID)
	}
	l.within(key+"quic_lb.nonce_length", int64(lb.NonceLength), 4, int64(19-min(max(1, len(id)), 15)))
}

func (l *loader) bind(key, addr, advertise string) listener {
	host, port, err := splitAddress(addr)
	if err != nil {
		l.fault(key+".addr", "%v", err)
	}
	if advertise != "" {
		if err := reachable(advertise); err != nil {
			l.fault(key+".advertise", "%v", err)
		}
	}
	return listener{key, host, port}
}

// control checks a listener of this machine. A socket takes the place of the
// default address.
func (l *loader) control(key string, c *Control) listener {
	_, addressed := l.origins[key+".addr"]
	if c.Socket != "" && !addressed {
		c.Addr = ""
	}
	switch {
	case c.Socket != "" && c.Addr != "":
		l.fault(key+".socket", "is set beside addr: keep one")
	case c.Addr == "" && c.Socket == "":
		l.fault(key+".addr", "is empty, and there is no socket")
	case c.Socket != "" && len(c.Socket) > maxSocketPath:
		l.fault(key+".socket", "the path is longer than %d bytes", maxSocketPath)
	case c.Addr != "" && c.Token == "":
		l.fault(key+".token", "is required with an address: set a token of %d characters or more, or a socket instead", minTokenLength)
	case c.Addr != "" && len(c.Token) < minTokenLength:
		l.fault(key+".token", "is shorter than %d characters", minTokenLength)
	}
	if c.Addr == "" {
		return listener{key: key}
	}
	bound := l.bind(key, c.Addr, "")
	if !loopback(bound.host) {
		l.warn("%s.addr: %s speaks plain HTTP beyond this machine", key, c.Addr)
	}
	return bound
}

const maxSocketPath = 107 // sun_path of unix(7), without the closing zero

func (l *loader) warn(format string, args ...any) {
	l.config.Warnings = append(l.config.Warnings, fmt.Sprintf(format, args...))
}

func (l *loader) peers(key string, addrs []string) {
	for _, addr := range addrs {
		if err := reachable(addr); err != nil {
			l.fault(key, "%v", err)
		}
	}
}

// ErrNoAddress says that the machine has no address that others could reach.
var ErrNoAddress = errors.New("no address to advertise")

// AdvertiseAddr returns what to tell others: Advertise, or else Addr with the
// host, when that is every interface, replaced by the machine's first private
// address (RFC 1918, RFC 4193), then its first global one. The error is of kind
// ErrNoAddress: the network may come later.
func (b Bind) AdvertiseAddr() (string, error) { return advertise(b.Addr, b.Advertise, machineAddrs) }

// AdvertiseAddr is Bind.AdvertiseAddr for devices.
func (b EdgeBind) AdvertiseAddr() (string, error) {
	return advertise(b.Addr, b.Advertise, machineAddrs)
}

// AdvertiseAddr is Bind.AdvertiseAddr for the mesh.
func (b MeshBind) AdvertiseAddr() (string, error) {
	return advertise(b.Addr, b.Advertise, machineAddrs)
}

func machineAddrs() []netip.Addr {
	var out []netip.Addr
	found, _ := net.InterfaceAddrs()
	for _, a := range found {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			out = append(out, prefix.Addr())
		}
	}
	return out
}

func advertise(addr, explicit string, machine func() []netip.Addr) (string, error) {
	if explicit != "" {
		return explicit, nil
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("advertise %q: %w", addr, err)
	}
	if !everyInterface(host) {
		return addr, nil
	}
	var chosen netip.Addr
	for _, ip := range machine() {
		better := ip.IsPrivate() && !chosen.IsPrivate()
		if ip.IsGlobalUnicast() && (!chosen.IsValid() || better) {
			chosen = ip
		}
	}
	if !chosen.IsValid() {
		return "", fmt.Errorf("%w: listener %q: set advertise", ErrNoAddress, addr)
	}
	return net.JoinHostPort(chosen.String(), port), nil
}

func workingDir() string {
	dir, err := os.Getwd()
	if err != nil {
		return "."
	}
	return dir
}

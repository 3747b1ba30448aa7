package agent

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/hashicorp/memberlist"

	"github.com/tidegate/tidegate/agent/catalog"
	"github.com/tidegate/tidegate/agent/config"
	"github.com/tidegate/tidegate/gossip"
	"github.com/tidegate/tidegate/transport"
	"github.com/tidegate/tidegate/transport/edge"
	"github.com/tidegate/tidegate/transport/events"
	"github.com/tidegate/tidegate/transport/mqtt"
)

// Network decorates an agent's sockets, for drills. A nil function leaves the
// bare socket, as in production.
type Network struct {
	Packet     func(*net.UDPConn) net.PacketConn
	Listener   func(net.Listener) net.Listener
	Dial       func(ctx context.Context, network, addr string) (net.Conn, error)
	Memberlist func(memberlist.NodeAwareTransport) memberlist.NodeAwareTransport
}

func (n Network) packet(c *net.UDPConn) net.PacketConn {
	if n.Packet == nil {
		return c
	}
	return n.Packet(c)
}

func (n Network) listener(l net.Listener) net.Listener {
	if n.Listener == nil || l == nil {
		return l
	}
	return n.Listener(l)
}

// assemble makes the parts in the order they need each other.
func (a *Agent) assemble(ctx context.Context) error {
	if err := os.MkdirAll(a.cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("data_dir: %w: %w", config.ErrInvalid, err)
	}
	meshID, err := a.cfg.TLS.Mesh.Load()
	if err != nil {
		return fmt.Errorf("tls.mesh: %w", err)
	}
	edgeID, err := a.cfg.TLS.Edge.Load()
	if err != nil {
		return fmt.Errorf("tls.edge: %w", err)
	}
	a.edgeTLS.Store(edgeID)
	a.self = meshID.Peer
	if err := a.makeCatalog(); err != nil {
		return err
	}
	if a.policies, err = newPolicies(a); err != nil {
		return err
	}
	if a.resetKey, err = transport.LoadOrCreateResetKey(a.cfg.DataDir); err != nil {
		return err
	}
	if a.tokenKey, err = transport.LoadOrCreateTokenKey(a.cfg.DataDir); err != nil {
		return err
	}
	if a.sockets, err = openSockets(ctx, a.cfg, a.log); err != nil {
		return err
	}
	if a.cfg.Fault.Enabled {
		a.opts.Network = a.openToFaults()
	}
	if err := a.makeGossip(meshID); err != nil {
		return err
	}
	if err := a.makeMesh(meshID); err != nil {
		return err
	}
	if err := a.makeIdentity(); err != nil {
		return err
	}
	if err := a.makeEdge(); err != nil {
		return err
	}
	a.makeFaults()
	a.makeLocal()
	return nil
}

func (a *Agent) makeCatalog() (err error) {
	opt := catalog.Options{
		Region:       a.cfg.Region,
		DataDir:      a.cfg.DataDir,
		RetryJoin:    a.cfg.Gossip.RetryJoin,
		RetryJoinWAN: a.cfg.Gossip.RetryJoinWAN,
		Logger:       a.log,
		Metrics:      a.reg,
		Transport:    a.conditions.Catalog.Through,
	}
	if c := a.cfg.Catalog.Consul; c != nil {
		a.catalog, err = catalog.NewConsul(c.Catalog(), opt)
	} else {
		a.catalog, err = catalog.NewStatic(*a.cfg.Catalog.Static, opt)
	}
	if err != nil {
		return fmt.Errorf("catalog: %w", err)
	}
	return nil
}

func (a *Agent) makeGossip(id *config.Identity) (err error) {
	l := a.cfg.Listeners
	cas, domain := id.Pool, id.Peer.TrustDomain
	cfg := gossip.Config{
		Name:    a.cfg.Name,
		Region:  a.cfg.Region,
		Group:   a.cfg.Group,
		Meta:    a.meta(),
		LAN:     gossip.Bind{Addr: l.LAN.Addr, Advertise: l.LAN.Advertise},
		WAN:     gossip.Bind{Addr: l.WAN.Addr, Advertise: l.WAN.Advertise},
		Keyring: a.cfg.Gossip.Keyring(),
		Signer:  gossip.Signer{CertDER: id.Certificate.Certificate[0], Key: id.Certificate.PrivateKey.(ed25519.PrivateKey)},
		Verify: func(der []byte) (string, string, ed25519.PublicKey, error) {
			return transport.VerifyCertificate(der, cas, domain, a.conditions.Now())
		},
		Logger:  a.log,
		Metrics: a.reg,
	}
	if a.cfg.Gossip.Timing == "fast" {
		cfg.Timing = gossip.DevTiming()
	}
	if decorate := a.opts.Network.Memberlist; decorate != nil {
		cfg.Transport = func(_ string, mc *memberlist.Config) (memberlist.Transport, error) {
			bare, err := gossip.NewTransport(mc)
			if err != nil {
				return nil, err
			}
			return decorate(bare), nil
		}
	}
	a.gossip, err = gossip.New(cfg)
	return err
}

func (a *Agent) makeMesh(id *config.Identity) (err error) {
	if a.creds, err = transport.LoadCredentials(id.CertPEM, id.KeyPEM, id.CAPEM); err != nil {
		return fmt.Errorf("tls.mesh: %w", err)
	}
	dial := a.opts.Network.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	a.mesh, err = transport.NewMesh(transport.MeshConfig{
		Self:              a.self,
		Conn:              a.opts.Network.packet(a.sockets.meshUDP),
		TCPListener:       a.opts.Network.listener(a.sockets.meshTCP),
		TCPDial:           dial,
		Credentials:       a.creds,
		StatelessResetKey: a.resetKey,
		Handler:           http.HandlerFunc(a.serveMesh),
		Deny:              a.denied.has,
		Probes:            a.probes(),
		Now:               a.conditions.Now,
		Limits: transport.Limits{
			Connections:      a.cfg.Limits.MeshConnections,
			StreamsPerTunnel: a.cfg.Limits.MeshStreams,
		},
		Logger:  a.log,
		Metrics: a.reg,
	})
	return err
}

var clientAuth = map[string]edge.ClientAuth{config.ClientAuthNone: edge.None, config.ClientAuthOptional: edge.Optional, config.ClientAuthRequire: edge.Required}

func (a *Agent) makeEdge() (err error) {
	l := a.cfg.Limits
	proxies, err := a.cfg.Listeners.Edge.ProxyPrefixes()
	if err != nil {
		return err
	}
	a.mqtt, err = mqtt.New(mqtt.Config{
		Handler:   publisher{a},
		Now:       a.conditions.Now,
		Elsewhere: a.elsewhere,
		Limits: mqtt.Limits{
			MaxPacket:      int(l.MQTTPacket),
			InFlight:       l.MQTTInFlight,
			InFlightBytes:  max(mqtt.DefaultLimits().InFlightBytes, int(l.MQTTPacket)),
			SessionExpiry:  l.MQTTSessionExpiry,
			KeepAlive:      l.MQTTKeepAlive,
			ConnectTimeout: l.HeaderTimeout,
			WriteTimeout:   l.BodyTimeout,
		},
		Logger:  a.log,
		Metrics: a.reg,
	})
	if err != nil {
		return err
	}
	if a.events, err = events.New(events.Config{Changed: a.devices.Changed, Metrics: a.reg}); err != nil {
		return err
	}
	a.devices.holders = []holder{a.mqtt, a.events}
	a.edge, err = edge.Listen(edge.Config{
		Conn:               a.opts.Network.packet(a.sockets.edgeUDP),
		TCP:                a.opts.Network.listener(a.sockets.edgeTCP),
		Certificate:        func() *tls.Certificate { return &a.edgeTLS.Load().Certificate },
		ClientCAs:          func() *x509.CertPool { return a.edgeTLS.Load().Pool },
		ClientAuth:         clientAuth[a.cfg.TLS.Edge.ClientAuth],
		TrustDomain:        a.self.TrustDomain,
		Names:              a.names,
		Identify:           a.identifier(),
		Revoked:            a.revoked,
		RevokedCertificate: func(c *x509.Certificate) bool { return a.edgeTLS.Load().CRL.Revoked(c) },
		Handler:            http.HandlerFunc(a.serveEdge),
		MQTT:               a.mqtt,
		MQTTListener:       a.opts.Network.listener(a.sockets.mqtt),
		Now:                a.conditions.Now,
		EarlyData:          a.cfg.Listeners.Edge.EarlyData,
		ProxyFrom:          proxies,
		QUICLB:             quicLB(a.cfg.Listeners.Edge.QUICLB),
		StatelessResetKey:  a.resetKey,
		TokenGeneratorKey:  a.tokenKey,
		Limits: edge.Limits{
			MaxHeaderBytes:       int(l.MaxHeaderBytes),
			MaxHeaderFields:      l.MaxHeaderFields,
			StreamsPerConnection: l.StreamsPerConnection,
			ConnectionsPerAgent:  l.Connections,
			ConnectionsPerSource: l.ConnectionsPerSource,
			HandshakeRate:        float64(l.HandshakesPerSecond),
			RetryAbove:           float64(l.RetryAbove),
			HeaderTimeout:        l.HeaderTimeout,
			BodyIdle:             l.BodyTimeout,
			IdleTimeout:          l.IdleTimeout,
			KeepAlive:            cmp.Or(l.KeepAlive, edge.NoKeepAlive),
		},
		Logger:  a.log,
		Metrics: a.reg,
	})
	return err
}

func quicLB(c *config.QUICLB) *edge.QUICLB {
	if c == nil {
		return nil
	}
	return &edge.QUICLB{ConfigID: c.ConfigID, ServerID: c.Server(), NonceLength: c.NonceLength}
}

func (a *Agent) serveEdge(w http.ResponseWriter, r *http.Request) {
	// Routes for these hosts are for services beside the agent.
	if strings.HasSuffix(hostOnly(r.Host), meshSuffix) {
		writeProblem(w, problem{Status: http.StatusMisdirectedRequest, Reason: reasonBadRequest,
			Detail: "hosts that end in " + meshSuffix + " are not for devices"})
		return
	}
	device, _ := edge.DeviceFrom(r.Context())
	if strings.HasPrefix(r.URL.Path, deviceAPI) {
		a.serveDeviceAPI(w, r, device)
		return
	}
	a.handle(w, r, device)
}

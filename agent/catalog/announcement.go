package catalog

import (
	"fmt"
	"maps"
	"net"
	"strconv"

	"github.com/hashicorp/consul/api"

	"github.com/tidegate/tidegate/policy"
)

// The keys of a registration's metadata that other agents read.
const (
	metaAgent   = "agent"
	metaRegion  = "region"
	metaVersion = "version"
	metaMesh    = "mesh"
	metaLAN     = "lan"
	metaWAN     = "wan"
)

// registration is self as Consul takes it, without its check's status.
func registration(self Self, region string, set settings) (*api.AgentServiceRegistration, error) {
	if self.Name == "" {
		return nil, fmt.Errorf("%w: register agent: it has no name", policy.ErrInvalid)
	}
	host, port, err := splitHostPort("edge address", self.EdgeAddr)
	if err != nil {
		return nil, err
	}
	if unspecified(host) {
		host = "" // Consul then answers with the node's address
	}
	meta, err := metaOf(self, region)
	if err != nil {
		return nil, err
	}
	id := self.ID
	if id == "" {
		id = ServiceName + "-" + self.Name
	}
	check, err := checkOf(self, id, set)
	if err != nil {
		return nil, err
	}
	return &api.AgentServiceRegistration{ID: id, Name: ServiceName, Address: host, Port: port, Meta: meta, Check: check}, nil
}

func metaOf(self Self, region string) (map[string]string, error) {
	if self.Region != "" {
		region = self.Region
	}
	meta := maps.Clone(self.Meta)
	if meta == nil {
		meta = map[string]string{}
	}
	for key, value := range map[string]string{metaAgent: self.Name, metaRegion: region, metaVersion: self.Version} {
		meta[key] = value
	}
	for key, addr := range map[string]string{metaMesh: self.MeshAddr, metaLAN: self.LANAddr, metaWAN: self.WANAddr} {
		if addr == "" {
			continue
		}
		if _, _, err := splitHostPort(key+" address", addr); err != nil {
			return nil, err
		}
		meta[key] = addr
	}
	return meta, nil
}

func checkOf(self Self, id string, set settings) (*api.AgentServiceCheck, error) {
	check := &api.AgentServiceCheck{
		CheckID:                        checkID(id),
		Name:                           "Tidegate agent is ready",
		DeregisterCriticalServiceAfter: set.deregisterAfter.String(),
	}
	if set.check == CheckTTL {
		check.TTL = set.ttl.String()
		return check, nil
	}
	if self.ReadyURL == "" {
		return nil, fmt.Errorf("%w: register agent: check %q needs the URL of readyz: bind it where Consul reaches it, or use check %q",
			policy.ErrInvalid, CheckHTTP, CheckTTL)
	}
	check.HTTP, check.Interval, check.Timeout = self.ReadyURL, "5s", "2s"
	return check, nil
}

func checkID(service string) string { return "service:" + service }

func splitHostPort(what, addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, fmt.Errorf("%w: %s %q: %w", policy.ErrInvalid, what, addr, err)
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < 1 || port > 65535 {
		return "", 0, fmt.Errorf("%w: %s %q: the port must be a number from 1 to 65535", policy.ErrInvalid, what, addr)
	}
	return host, port, nil
}

// unspecified says whether a host stands for every address of its machine.
func unspecified(host string) bool {
	if host == "" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsUnspecified()
}

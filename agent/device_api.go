package agent

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport/events"
	"github.com/tidegate/tidegate/transport/mqtt"
)

// What devices that speak HTTP have in common with those that speak MQTT lies
// below this path, which no route sees:
//
//	POST .../topics/{topic}    publishes
//	GET  .../messages?filter=  listens for commands, as server-sent events
//	POST .../messages/{id}     acknowledges one; with ?refused= it does not
const (
	deviceAPI    = "/.tidegate/"
	apiTopics    = deviceAPI + "topics/"
	apiMessages  = deviceAPI + "messages"
	filtersMost  = 16
	clientIDMost = 256
)

func (a *Agent) serveDeviceAPI(w http.ResponseWriter, r *http.Request, device policy.Device) {
	path := r.URL.EscapedPath()
	switch {
	case strings.HasPrefix(path, apiTopics) && r.Method == http.MethodPost:
		a.servePublish(w, r, device, strings.TrimPrefix(path, apiTopics))
	case path == apiMessages && r.Method == http.MethodGet:
		a.serveListen(w, r, device)
	case path == apiMessages && r.Method == http.MethodHead:
		w.WriteHeader(http.StatusNoContent) // somebody wants to know whether this agent lives
	case strings.HasPrefix(path, apiMessages+"/") && r.Method == http.MethodPost:
		a.serveAcknowledge(w, r, device, strings.TrimPrefix(path, apiMessages+"/"))
	default:
		writeProblem(w, problem{Status: http.StatusNotFound, Reason: reasonNoRoute, Detail: "nothing is served here by this method"})
	}
}

// servePublish takes a message on a topic the way that it would take over MQTT;
// the device is answered as the service did.
func (a *Agent) servePublish(w http.ResponseWriter, r *http.Request, device policy.Device, levels string) {
	topic, err := url.PathUnescape(levels)
	if err != nil || !policy.ValidTopic(topic) {
		writeProblem(w, problem{Status: http.StatusBadRequest, Reason: reasonBadRequest, Detail: "this is no topic to publish on"})
		return
	}
	pub := &mqtt.Publication{
		Device: device, Client: remoteAddr(r.RemoteAddr), Host: r.Host, TLS: r.TLS, Topic: topic,
		ContentType: r.Header.Get("Content-Type"), Received: time.Now(), Properties: propertiesOf(r.Header),
	}
	if key := r.Header.Get("Idempotency-Key"); key != "" {
		pub.QoS = 1 // the device will send it again, by the same id, if it must
		if pub.ID, err = strconv.Unquote(key); err != nil {
			pub.ID = key
		}
	} else {
		pub.ID = rand.Text()
	}
	post := postOf(r.Context(), pub)
	post.Proto, post.ProtoMajor, post.ProtoMinor = r.Proto, r.ProtoMajor, r.ProtoMinor
	post.Body, post.ContentLength = r.Body, r.ContentLength
	x := &exchange{agent: a, view: a.view.Load(), w: w, r: post, started: time.Now()}
	x.message = messageOfPublication(post, pub)
	x.begin()
	defer x.finish()
	x.run()
}

// propertiesOf takes the fields of a request for user properties.
func propertiesOf(h http.Header) (all []mqtt.Property) {
	for name, values := range h {
		for _, value := range values {
			all = append(all, mqtt.Property{Key: name, Value: value})
		}
	}
	return all
}

// remoteAddr is the address of a request as one of net.
type remoteAddr string

// Network is not known.
func (remoteAddr) Network() string  { return "" }
func (a remoteAddr) String() string { return string(a) }

// serveListen sends a device the commands for it until it goes.
func (a *Agent) serveListen(w http.ResponseWriter, r *http.Request, device policy.Device) {
	q := r.URL.Query()
	ask := events.Request{Device: device, Client: q.Get("client"), Filters: q["filter"]}
	ask.Epoch, _ = strconv.ParseUint(q.Get("epoch"), 10, 64)
	if p := a.unfitListen(&ask); p != nil {
		writeProblem(w, *p)
		return
	}
	ctx, cancel := a.lifetime(r.Context())
	defer cancel()
	a.events.Serve(w, r.WithContext(ctx), ask)
}

func (a *Agent) unfitListen(ask *events.Request) *problem {
	switch {
	case ask.Device.ID == "":
		return &problem{Status: http.StatusUnauthorized, Reason: reasonUnknown, Detail: "commands are for devices that show who they are"}
	case len(ask.Filters) == 0 || len(ask.Filters) > filtersMost || len(ask.Client) > clientIDMost:
		return &problem{Status: http.StatusBadRequest, Reason: reasonBadRequest, Detail: "name 1 to 16 topic filters, as ?filter=commands/%23, and a client of at most 256 bytes"}
	case a.draining.Load():
		return &problem{Status: http.StatusServiceUnavailable, Reason: reasonDraining, RetryAfterMS: retryAfter(0)}
	}
	for _, filter := range ask.Filters {
		if !policy.ValidFilter(filter) {
			return &problem{Status: http.StatusBadRequest, Reason: reasonBadRequest, Detail: "this is no topic filter: " + strconv.Quote(filter)}
		}
		if !a.mayListen(ask.Device, filter) {
			return &problem{Status: http.StatusForbidden, Reason: reasonAccess, Detail: "this device may not subscribe to " + filter}
		}
	}
	return nil
}

func (a *Agent) serveAcknowledge(w http.ResponseWriter, r *http.Request, device policy.Device, escaped string) {
	id, err := url.PathUnescape(escaped)
	if err == nil {
		err = a.events.Acknowledge(device.ID, id, r.URL.Query().Get("refused"))
	}
	if err != nil {
		writeProblem(w, problem{Status: http.StatusNotFound, Reason: reasonUnknownCommand, Detail: "no such command waits for this device here"})
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

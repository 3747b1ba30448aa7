package agent

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidegate/tidegate/transport/mqtt"
)

// eventOf describes a publication in CloudEvents' JSON format (1.0, sections 2.2 to
// 3.1.1), by the attributes that it has in the binary mode. header holds its user
// properties, without those that are not for devices to set.
func eventOf(pub *mqtt.Publication, header http.Header) (eventName, []byte) {
	name := eventName{ID: pub.ID, Source: eventSource(pub)}
	b := make([]byte, 0, 320+len(pub.Payload)+len(pub.Payload)/2)
	b = append(b, `{"specversion":"1.0"`...)
	b = appendMember(b, "id", name.ID)
	b = appendMember(b, "source", name.Source)
	b = appendMember(b, "type", eventType)
	b = appendMember(b, "subject", pub.Topic)
	b = appendMember(b, "time", eventTime(pub))
	b = appendMember(b, "datacontenttype", header.Get("Content-Type"))
	b = appendMember(b, "tidegatedevice", pub.Device.ID)
	b = appendExtensions(b, pub, header)
	return name, append(appendData(b, pub.Payload, header.Get("Content-Type")), '}')
}

// appendExtensions makes extension attributes of user properties. Of several that
// come to one name the first counts.
func appendExtensions(b []byte, pub *mqtt.Publication, header http.Header) []byte {
	if len(pub.Properties) == 0 {
		return b
	}
	seen := map[string]bool{}
	for _, p := range pub.Properties {
		name := extensionName(p.Key)
		if header.Get(p.Key) == "" || seen[name] || ownAttribute(name) {
			continue
		}
		seen[name] = true
		b = appendMember(b, name, p.Value)
	}
	return b
}

// extensionName leaves what the name of an attribute may have: lower-case letters
// and digits (CloudEvents 1.0, section 3.1).
func extensionName(key string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return -1
	}, key)
}

// ownAttribute: not for user properties to set.
func ownAttribute(name string) bool {
	switch name {
	case "", "id", "source", "specversion", "type", "subject", "time", "datacontenttype", "dataschema", "data", "database64", "contenttype":
		return true
	}
	return strings.HasPrefix(name, "tidegate")
}

// appendData adds the payload: as it is where it says that it is JSON, and is.
func appendData(b, payload []byte, contentType string) []byte {
	switch {
	case len(payload) == 0:
		return b
	case jsonType(contentType) && json.Valid(payload) && utf8.Valid(payload):
		return append(append(b, `,"data":`...), payload...)
	}
	b = append(b, `,"data_base64":"`...)
	return append(base64.StdEncoding.AppendEncode(b, payload), '"')
}

const eventType = "io.tidegate.publish"

func eventSource(pub *mqtt.Publication) string { return "/devices/" + url.PathEscape(pub.Device.ID) }

func eventTime(pub *mqtt.Publication) string { return pub.Received.UTC().Format(time.RFC3339Nano) }

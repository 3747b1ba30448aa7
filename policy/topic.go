package policy

import (
	"net/url"
	"strings"
)

// ValidTopic says whether something can be published on a topic (MQTT 5.0,
// section 4.7).
func ValidTopic(topic string) bool {
	return topic != "" && len(topic) <= maxTopic && !strings.ContainsAny(topic, "+#\x00")
}

// ValidFilter says whether a topic filter is well formed: "+" stands for one whole
// level, "#" for all that follow and comes last (MQTT 5.0, section 4.7.1).
func ValidFilter(filter string) bool {
	if filter == "" || len(filter) > maxTopic || strings.Contains(filter, "\x00") {
		return false
	}
	for rest, more := filter, true; more; {
		var level string
		level, rest, more = strings.Cut(rest, "/")
		if len(level) > 1 && strings.ContainsAny(level, "+#") || level == "#" && more {
			return false
		}
	}
	return true
}

// maxTopic bounds topics and filters, in bytes.
const maxTopic = 4 << 10

// TopicMatches says whether a topic is one of those that a valid filter names.
// Topics that begin with "$" are matched by no wildcard at the first level (MQTT
// 5.0, section 4.7.2).
func TopicMatches(filter, topic string) bool {
	if strings.HasPrefix(topic, "$") && strings.IndexAny(filter, "+#") == 0 {
		return false
	}
	for {
		want, filterRest, filterMore := strings.Cut(filter, "/")
		if want == "#" {
			return true
		}
		have, topicRest, topicMore := strings.Cut(topic, "/")
		switch {
		case want != "+" && want != have:
			return false
		case !filterMore:
			return !topicMore
		case !topicMore:
			return filterRest == "#" // "a/#" names "a" too
		}
		filter, topic = filterRest, topicRest
	}
}

// TopicPath is the path that routes and access blocks see of a topic, or of a
// topic filter: its levels are segments.
func TopicPath(topic string) string {
	levels := strings.Split(topic, "/")
	for i, level := range levels {
		levels[i] = url.PathEscape(level)
	}
	return "/" + strings.Join(levels, "/")
}

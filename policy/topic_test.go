package policy

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestFiltersNameTopics(t *testing.T) {
	for _, c := range []struct {
		filter, topic string
		want          bool
	}{
		{"a/b", "a/b", true},
		{"a/b", "a/b/c", false},
		{"a/b", "a", false},
		{"a/+", "a/b", true},
		{"a/+", "a/", true},
		{"a/+", "a", false},
		{"a/+/c", "a/b/c", true},
		{"+", "a", true},
		{"+", "/a", false},
		{"+/+", "/a", true},
		{"/+", "/a", true},
		{"a/#", "a", true},
		{"a/#", "a/b/c", true},
		{"a/#", "ab", false},
		{"#", "a/b", true},
		{"#", "$SYS/x", false},
		{"+/x", "$SYS/x", false},
		{"$SYS/#", "$SYS/x", true},
		{"a/+/#", "a/b", true},
		{"a/+/#", "a", false},
	} {
		if got := TopicMatches(c.filter, c.topic); got != c.want {
			t.Errorf("filter %q, topic %q: %v, want %v", c.filter, c.topic, got, c.want)
		}
	}
}

func TestFiltersAreWellFormed(t *testing.T) {
	for filter, want := range map[string]bool{
		"a": true, "/": true, "a//b": true, "+": true, "#": true, "+/a/#": true, "a/+/b": true,
		"": false, "a+": false, "a/#/b": false, "a#": false, "a/b#": false, "a\x00": false,
		strings.Repeat("a", maxTopic+1): false,
	} {
		if got := ValidFilter(filter); got != want {
			t.Errorf("%.20q: %v, want %v", filter, got, want)
		}
	}
}

func TestAFilterWithoutWildcardsNamesOnlyItself(t *testing.T) {
	level := rapid.StringMatching(`[a-c]{0,2}`)
	topic := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(level, 1, 4).Draw(t, "levels"), "/")
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := topic.Draw(t, "a"), topic.Draw(t, "b")
		if TopicMatches(a, b) != (a == b) {
			t.Fatalf("filter %q, topic %q", a, b)
		}
		if !TopicMatches(a+"/#", a+"/"+b) || !TopicMatches("#", a) {
			t.Fatalf("%q: '#' does not take what follows", a)
		}
	})
}

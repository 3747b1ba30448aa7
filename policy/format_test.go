package policy_test

import (
	"errors"
	"testing"

	"github.com/tidegate/tidegate/policy"
)

func TestFormatLaysOutAndRefusesBadSyntax(t *testing.T) {
	got, err := policy.Format("p.hcl", []byte("service   \"a\" {\ntimeout=\"2s\" # two\n  failover   = env(\"X\")\n}"))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "hcl", string(got), "service \"a\" {\n  timeout  = \"2s\" # two\n  failover = env(\"X\")\n}")
	got, err = policy.Format("p.json", []byte(`{"service":{"a":{}}}`))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "json", string(got), "{\n  \"service\": {\n    \"a\": {}\n  }\n}\n")
	for name, src := range map[string]string{"p.hcl": "service {", "p.json": "{"} {
		var found policy.Diagnostics
		if _, err := policy.Format(name, []byte(src)); !errors.Is(err, policy.ErrInvalid) || !errors.As(err, &found) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

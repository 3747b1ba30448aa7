package config

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

func TestTheExamplesOfTheDocumentsAreGood(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "identity.md"))
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?ms)^```hcl\n(.*?)^```$").FindAllSubmatch(text, -1)
	if len(examples) < 2 {
		t.Fatalf("%d examples", len(examples))
	}
	values := place(t)
	values["tls.edge.client_auth"] = ClientAuthOptional
	if err := os.Mkdir("secrets", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("secrets/hook.token", []byte("hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, example := range examples {
		if _, err := load(t, string(example[1]), values, noEnv); err != nil {
			t.Errorf("%s: %v", example[1], err)
		}
	}
}

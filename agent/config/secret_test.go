package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSecretsAreNeverShown(t *testing.T) {
	type holder struct {
		Token Secret
		Keys  []Secret
	}
	h := holder{"hunter2", []Secret{"hunter2"}}
	encoded, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	var text, jsonLog bytes.Buffer
	slog.New(slog.NewTextHandler(&text, nil)).Info("x", "token", h.Token, "all", h)
	slog.New(slog.NewJSONHandler(&jsonLog, nil)).Info("x", "token", h.Token, "all", h)
	shown := []string{
		fmt.Sprint(h), fmt.Sprintf("%v %+v %#v %s %q %x", h, h, h, h.Token, h.Token, h.Token), h.Token.String(),
		string(encoded), text.String(), jsonLog.String(),
	}
	for _, out := range shown {
		if strings.Contains(out, "hunter2") || strings.Contains(out, fmt.Sprintf("%x", "hunter2")) {
			t.Errorf("shows the secret: %s", out)
		}
		if !strings.Contains(out, "[secret]") && !strings.Contains(out, fmt.Sprintf("%x", "[secret]")) {
			t.Errorf("does not say that there is a secret: %s", out)
		}
	}
	if h.Token.Reveal() != "hunter2" || Secret("").String() != "" {
		t.Error("Reveal or the empty secret is wrong")
	}
}

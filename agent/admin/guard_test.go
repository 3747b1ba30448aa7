package admin

import (
	"io"
	"net/http"
	"testing"
)

func TestClientsAreKnownByTheirTokens(t *testing.T) {
	h := Guard{Token: "secret-secret-16", Clients: map[string]string{"ops": "ops-ops-ops-ops-16"}, AnyHost: true}.Wrap(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "client:"+ClientFrom(r.Context()))
		}))
	for token, want := range map[string]string{
		"secret-secret-16": "client:", "ops-ops-ops-ops-16": "client:ops", "ops": "", "": "", "wrong": "",
	} {
		rec := ask1(t, h, http.MethodGet, "/x", "", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) })
		if (rec.Code == http.StatusOK) != (want != "") || want != "" && rec.Body.String() != want {
			t.Errorf("token %q: %d %s, want %q", token, rec.Code, rec.Body, want)
		}
	}
}

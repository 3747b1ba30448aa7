package admin

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/tidegate/tidegate/policy"
)

const (
	devicesUsual = 100 // on a page
	devicesMost  = 10_000
)

func addDevices(mux *http.ServeMux, a Agent) {
	mux.HandleFunc("GET "+PathDevices, func(w http.ResponseWriter, r *http.Request) {
		limit, err := pageLimit(r.URL.Query().Get("limit"))
		if err != nil {
			refuse(w, http.StatusBadRequest, err)
			return
		}
		answer(w, a.Devices(r.URL.Query().Get("after"), limit))
	})
	mux.HandleFunc("GET "+PathDevices+"/{id}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, a.Device(r.Context(), r.PathValue("id"), false))
	})
	mux.HandleFunc("DELETE "+PathDevices+"/{id}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, a.Device(r.Context(), r.PathValue("id"), true))
	})
}

func pageLimit(text string) (int, error) {
	if text == "" {
		return devicesUsual, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > devicesMost {
		return 0, fmt.Errorf("devices: %w: limit %.20q: use 1 to %d", policy.ErrInvalid, text, devicesMost)
	}
	return n, nil
}

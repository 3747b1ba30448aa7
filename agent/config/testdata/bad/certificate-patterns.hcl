identity {
  certificate {
    uri = ["spiffe://fleet.example/device/{id}", "spiffe://fleet.example/{tenant}{id}"]
  }
}

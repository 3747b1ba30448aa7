access "a" {
  allow { path = "/v1/${device.tenant}-${device.id}/x" }
}

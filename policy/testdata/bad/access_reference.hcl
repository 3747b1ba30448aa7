access "a" {
  allow { path = "/v1/${request.path}/x" }
}
access "b" {
  allow { path = "/v1/${device.id.x}/x" }
}
access "c" {
  allow { path = "/v1/${device["id"]}/x" }
}

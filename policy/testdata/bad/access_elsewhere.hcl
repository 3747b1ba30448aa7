route "a" {
  match { path = "/v1/${device.id}" }
  respond {}
}
access "a" {
  devices = ["${device.id}"]
  allow {}
}

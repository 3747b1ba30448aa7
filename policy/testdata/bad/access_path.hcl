access "a" {
  allow { path = "v1/${device.id}" }
}
access "b" {
  allow { path = "/v1/%2${device.id}" }
}
access "c" {
  allow { path = "/v1/{x}${device.id}" }
}
access "d" {
  allow { path = "" }
}

access "a" {
  properties = { Tenant = "x", type = "" }
  allow {}
}

service "a" {}
route "first" {
  match {
    headers = { "X-Kind" = "*" }
  }
  forward {
    service = "a"
  }
}

route "second" {
  match {
    headers = { "X-Kind" = "a" }
  }
  forward {
    service = "a"
  }
}

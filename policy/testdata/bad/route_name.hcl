service "a" {}
route "all alarms" {
  forward {
    service = "a"
  }
}

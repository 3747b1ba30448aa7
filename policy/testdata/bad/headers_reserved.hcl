service "a" {}

route "r" {
  respond {
    headers = { "X-A" = "1", "x-a" = "2", "Connection" = "close" }
  }
}

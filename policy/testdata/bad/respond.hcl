service "a" {}

route "r" {
  respond {
    status  = 100
    headers = { "Content-Length" = "3", "X-A" = "b\r\nc" }
    body    = "abc"
  }
}
route "s" {
  respond {
    status = 204
    body   = "abc"
  }
}

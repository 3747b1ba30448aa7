service "a" {}

route "r" {
  match {
    path = "/{id}/{rest...}"
  }
  forward {
    service = "a"
  }
  rewrite {
    set_headers             = { "Host" = "a", "Content-Length" = "1", "Tidegate-Class" = "critical", "X-A" = "{", "x-a" = "b", "X-B" = "a\nb", "X-C" = "c", "x-c" = "d" }
    remove_headers          = ["Transfer-Encoding", "X A"]
    set_response_headers    = { "Ce-Id" = "1" }
    remove_response_headers = ["Connection"]
  }
}

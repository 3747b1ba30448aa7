service "a" {}

route "r" {
  match {
    headers = {
      "X-Kind" = "a"
      "x-kind" = "b"
      "Host"   = "c"
      "X Kind" = "d"
      "X-Line" = "e\nf"
      "X-List" = ["g"]
    }
  }
  forward {
    service = "a"
  }
}

service "a" {}

route "r0" {
  match {
    path = "/0"
  }
  forward {
    service = "a"
  }
  rewrite {
    host = "x:0"
  }
}

route "r1" {
  match {
    path = "/1"
  }
  forward {
    service = "a"
  }
  rewrite {
    host = "x:65536"
  }
}

route "r2" {
  match {
    path = "/2"
  }
  forward {
    service = "a"
  }
  rewrite {
    host = "x:"
  }
}

route "r3" {
  match {
    path = "/3"
  }
  forward {
    service = "a"
  }
  rewrite {
    host = "x:http"
  }
}

route "r4" {
  match {
    path = "/4"
  }
  forward {
    service = "a"
  }
  rewrite {
    host = "[::1"
  }
}

route "r5" {
  match {
    path = "/5"
  }
  forward {
    service = "a"
  }
  rewrite {
    host = "a..b:80"
  }
}

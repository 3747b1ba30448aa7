service "a" {}
route "r0" {
  match {
    host = "api.example.com:443"
  }
  forward {
    service = "a"
  }
}
route "r1" {
  match {
    host = "*"
  }
  forward {
    service = "a"
  }
}
route "r2" {
  match {
    host = "a.*.com"
  }
  forward {
    service = "a"
  }
}
route "r3" {
  match {
    host = "-a.com"
  }
  forward {
    service = "a"
  }
}
route "r4" {
  match {
    host = "a..b"
  }
  forward {
    service = "a"
  }
}
route "r5" {
  match {
    host = ""
  }
  forward {
    service = "a"
  }
}

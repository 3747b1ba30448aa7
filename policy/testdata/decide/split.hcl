service "a" {
  subset "canary" {
    tags = ["canary"]
  }
}
service "b" {}

route "random" {
  match {
    path = "/random"
  }
  forward {
    service = "a"
    subset  = "canary"
    weight  = 10
  }
  forward {
    service = "b"
    weight  = 0
  }
  forward {
    service = "a"
    weight  = 90
  }
}

route "sticky" {
  match {
    path = "/sticky"
  }
  forward {
    service = "a"
    subset  = "canary"
    weight  = 10
  }
  forward {
    service = "b"
    weight  = 0
  }
  forward {
    service = "a"
    weight  = 90
  }
  sticky = "device"
}

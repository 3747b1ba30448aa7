service "a" {}

route "nothing" {
  match {
    path = "/nothing"
  }
  forward {
    service = "a"
  }
  fault {}
}

route "all" {
  match {
    path = "/all"
  }
  forward {
    service = "a"
  }
  fault {
    share   = "0%"
    devices = "half"
    status  = 200
    delay   = "11s"
    until   = "tomorrow"
  }
}

route "fixed" {
  match {
    path = "/fixed"
  }
  respond {}
  fault {}
}

service "a" {}
route "first" {
  match {
    methods = ["GET", "POST"]
  }
  forward {
    service = "a"
  }
}

route "second" {
  match {
    methods = ["POST"]
  }
  forward {
    service = "a"
  }
}

service "a" {}

route "r" {
  match {
    methods = ["GET", "get", "P OST"]
  }
  forward {
    service = "a"
  }
}

service "a" {}

route "r" {
  regions = ["eu-1", "", "eu-1", "eu/2"]
  forward {
    service = "a"
  }
}

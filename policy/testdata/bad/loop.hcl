service "a" {}

route "r" {
  regions = [for x in ["a"] : x]
  forward {
    service = "a"
  }
}

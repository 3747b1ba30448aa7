service "a" {}

route "r" {
  class = "high"
}

service "a" {
  timeout = "2s"

route "r" {

service "a" {}

route "r" {
  timeout = "1s"
  regions = ["eu-1"]
  sticky  = "device"
  retry {}
  rewrite {}
  respond {}
}

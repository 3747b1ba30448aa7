service "a" {
  failover     = "none"
  beyond_group = true
}
service "b" {
  beyond_group = "yes"
}

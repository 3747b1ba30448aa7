service "a" {
  failover = "nowhere"
}
service "b" {
  failover = []
}
service "c" {
  failover = ["eu-1", "eu-1"]
}
service "d" {
  failover = ["eu 1"]
}

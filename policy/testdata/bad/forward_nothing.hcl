service "a" {}

route "r" {
  forward {}
}

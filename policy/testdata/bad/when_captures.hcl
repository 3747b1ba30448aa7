service "a" {}

route "r" {
  match {
    path = "/{id}"
    when = "captures.id == 'a' && captures.name == 'b' && captures['kind'] == 'c'"
  }
  forward {
    service = "a"
  }
}

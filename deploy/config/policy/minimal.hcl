# Everything goes to one service, in the nearest region that has it.
service "api" {}

route "everything" {
  match {
    path = "/{path...}"
  }
  forward {
    service = "api"
  }
}

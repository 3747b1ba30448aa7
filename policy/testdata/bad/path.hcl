service "a" {}
route "r0" {
  match {
    path = "a"
  }
  forward {
    service = "a"
  }
}
route "r1" {
  match {
    path = "/a/../b"
  }
  forward {
    service = "a"
  }
}
route "r2" {
  match {
    path = "/a/%2e"
  }
  forward {
    service = "a"
  }
}
route "r3" {
  match {
    path = "/a//b"
  }
  forward {
    service = "a"
  }
}
route "r4" {
  match {
    path = "/a?b=c"
  }
  forward {
    service = "a"
  }
}
route "r5" {
  match {
    path = "/a%2"
  }
  forward {
    service = "a"
  }
}
route "r6" {
  match {
    path = "/{id}.json"
  }
  forward {
    service = "a"
  }
}
route "r7" {
  match {
    path = "/{id"
  }
  forward {
    service = "a"
  }
}
route "r8" {
  match {
    path = "/{}"
  }
  forward {
    service = "a"
  }
}
route "r9" {
  match {
    path = "/{1d}"
  }
  forward {
    service = "a"
  }
}
route "r10" {
  match {
    path = "/{rest...}/a"
  }
  forward {
    service = "a"
  }
}
route "r11" {
  match {
    path = "/{id}/{id}"
  }
  forward {
    service = "a"
  }
}
route "r12" {
  match {
    path = "/a%0A"
  }
  forward {
    service = "a"
  }
}

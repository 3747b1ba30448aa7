drill "x" {
  hypothesis = "it holds"
  duration   = "20s"
  observe {}
  step "cut" {
    at  = "5s"
    for = "5s"
    load {
      rate = 20
    }
  }
  invariant "works" {
    metric   = "success"
    from     = "cut"
    at_least = 99
  }
}

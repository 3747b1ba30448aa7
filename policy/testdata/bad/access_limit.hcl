access "a" {
  allow {}
  limit {}
}
access "b" {
  allow {}
  limit { rate = "0/s" }
  limit {
    by    = "Tenant"
    rate  = "5/d"
    burst = 0
  }
}
access "c" {
  allow {}
  limit { rate = "1/s" }
  limit { rate = "100/m" }
}

access "a" {
  devices = []
  allow {}
}
access "b" {
  devices = ["a b"]
  allow {}
}
deny {}

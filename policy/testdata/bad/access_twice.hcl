access "a" {
  allow {}
}
access "a" {
  allow {}
}

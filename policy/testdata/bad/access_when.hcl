access "a" {
  when = "payload.x == 1"
  allow {}
}
access "b" {
  when = "captures.x == '1'"
  allow {}
}

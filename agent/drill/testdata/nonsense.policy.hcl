route "a" {
  klass = "bulk"
}

service "a" {
  timeuot = "2s"
}

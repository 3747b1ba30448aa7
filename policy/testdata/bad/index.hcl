service "a" {
  timeout = ["1s"][0]
}

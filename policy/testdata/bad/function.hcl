service "a" {
  timeout = env("TIMEOUT")
}

service "a" {
  subset "everything" {}
  subset "canary" {
    tags = ["canary"]
  }
  subset "canary" {
    meta = { version = "2" }
  }
  subset "types" {
    tags = "canary"
    meta = ["version"]
  }
  subset "values" {
    tags = [["canary"]]
    meta = { version = "2", version = "3" }
  }
}

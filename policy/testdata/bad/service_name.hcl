service "a/b" {}

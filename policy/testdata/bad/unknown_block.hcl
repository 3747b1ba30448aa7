service "a" {}

backend "b" {}

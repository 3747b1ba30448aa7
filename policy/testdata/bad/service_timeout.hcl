service "a" {
  timeout = "2 seconds"
}
service "b" {
  timeout = "0s"
}
service "c" {
  timeout = "2h"
}
service "d" {
  timeout = null
}

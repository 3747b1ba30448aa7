service "a" {
  limit {}
}

service "b" {
  limit {
    in_flight = 0
  }
}

service "c" {
  limit {
    in_flight = 100001
  }
}

service "d" {
  limit {
    in_flight = "64"
    rate      = 5
  }
  limit {
    in_flight = 1
  }
}

drain_timeout = "2h"

log {
  access {
    sample = 1.5
  }
}

limits {
  max_header_bytes       = "1B"
  streams_per_connection = 0
  idle_timeout           = "1s"
  keep_alive             = "10m"
}

tls {
  edge {
    client_auth = "optional"
  }
}

identity {
  hook {
    url           = "http://auth.example.com/device"
    token         = "hunter2"
    timeout       = "1m"
    cache_for     = "0s"
    refused_for   = "2h"
    max_cached    = 0
    max_in_flight = 20000
  }
}

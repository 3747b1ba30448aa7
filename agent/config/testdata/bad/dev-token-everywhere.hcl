listeners {
  edge {
    addr = ":7443"
  }
}

tls {
  edge {
    client_auth = "optional"
  }
}

identity {
  dev_token = "hunter2hunter2hunter2"
}

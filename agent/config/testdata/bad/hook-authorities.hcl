tls {
  edge {
    client_auth = "optional"
  }
}

identity {
  hook {
    url     = "https://auth.example.com/device"
    ca_file = "garbage.pem"
  }
}

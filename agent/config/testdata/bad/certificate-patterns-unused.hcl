tls {
  edge {
    client_auth = "none"
  }
}

identity {
  certificate {
    cn = ["{id}"]
  }
}

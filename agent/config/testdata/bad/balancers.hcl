listeners {
  edge {
    proxy_protocol_from = ["10.0.0.0/8", "balancer.example"]
    quic_lb {
      config_id    = 7
      server_id    = "xyz"
      nonce_length = 19
    }
  }
}

gossip {
  retry_join     = ["10.0.0.1"]
  retry_join_wan = [":7947"]
}

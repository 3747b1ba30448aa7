gossip {
  retry_join = "10.0.0.1:7946"
}

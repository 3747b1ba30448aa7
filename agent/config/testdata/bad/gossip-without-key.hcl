# without: gossip.keys
gossip {
  timing = "default"
}

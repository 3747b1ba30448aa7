gossip {
  insecure = true
}

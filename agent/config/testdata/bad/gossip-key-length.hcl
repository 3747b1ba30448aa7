# without: gossip.keys
gossip {
  keys = ["AAAAAAAAAAAAAAAAAAAAAA=="]
}

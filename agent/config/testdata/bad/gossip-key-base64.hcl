# without: gossip.keys
gossip {
  keys = ["hunter2!"]
}

# without: gossip.keys
gossip {
  keys = [file("no-such-file")]
}

# A fault beside a secret shows the place, never the text.
gossip {
  keys = ["hunter2hunter2hunter2" "x"]
}

access "meters" {
  devices = ["meter-*"]
}

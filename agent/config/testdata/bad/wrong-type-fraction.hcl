limits {
  connections = 1.5
}

limits {
  connections = "many"
}

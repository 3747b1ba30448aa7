listeners {
  mesh {
    tcp = "yes"
  }
}

identity {
  certificate {
    cn = ["{tenant}"]
  }
}

identity {
  certificate {
    email = ["{id}@{tenant}"]
  }
}

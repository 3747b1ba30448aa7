identity {
  hook {
    url = ""
  }
}

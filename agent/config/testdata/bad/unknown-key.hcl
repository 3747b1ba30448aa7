listeners {
  edge {
    adr = ":7443"
  }
}

listeners {
  edge {
    addr      = "7443"
    advertise = ":7443"
  }
  mesh {
    addr = ":74444"
  }
  lan {
    advertise = "0.0.0.0:7946"
  }
  wan {
    addr = "http://x:7947"
  }
}

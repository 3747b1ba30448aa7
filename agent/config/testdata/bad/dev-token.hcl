listeners {
  mqtt {
    addr = "0.0.0.0:8883"
  }
}

identity {
  dev_token = "hunter2"
}

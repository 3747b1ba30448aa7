service "a" {}

route "r" {
  match {
    when = <<EOT
      device.tenant == "a"
      && device.size > 3
    EOT
  }
  forward {
    service = "a"
  }
}

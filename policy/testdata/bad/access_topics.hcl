access "filters" {
  allow {
    publish = ["a/#/b", "a//b", "${device.id}/${device.x}"]
  }
}
access "list" {
  allow {
    subscribe = "a"
  }
}
access "not a service" {
  allow {
    command = ["a"]
  }
}
access "no-commands" {
  allow {
    command = ["a"]
  }
}
access "services" {
  services = ["ops"]
  allow {
    publish = ["a"]
  }
  allow {
    path = "/a"
  }
}
access "nobody" {
  services = []
  allow {
    command = []
  }
}

service "a" {
  quota {}
}

service "b" {
  quota {
    by    = "Tenant"
    share = "0%"
  }
}

service "c" {
  quota {
    by    = ""
    share = 0.5
  }
}

service "d" {
  quota {
    by    = "tenant"
    share = "101%"
  }
  quota {
    by    = "tenant"
    share = "50"
  }
}

service "e" {
  quota {
    by    = "tenant"
    share = "33.3%"
  }
}

service "f" {
  quota {
    by    = "tenant"
    share = ""
  }
}

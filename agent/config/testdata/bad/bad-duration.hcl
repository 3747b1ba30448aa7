drain_timeout = "30"

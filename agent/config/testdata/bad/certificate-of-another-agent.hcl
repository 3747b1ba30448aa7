name = "a2"

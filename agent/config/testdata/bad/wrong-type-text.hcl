group = 5

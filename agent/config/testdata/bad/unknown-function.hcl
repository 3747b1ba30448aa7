group = vault("x")

group = "a"
group = "b"

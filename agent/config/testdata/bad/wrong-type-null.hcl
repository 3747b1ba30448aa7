group = null

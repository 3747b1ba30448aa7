group = var.group

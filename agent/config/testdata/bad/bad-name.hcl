# without: region
region = "eu/1"

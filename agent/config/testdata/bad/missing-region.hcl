# without: region
group = "eu"

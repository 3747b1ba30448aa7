# without: policy.file
policy {
  file = "nowhere.hcl"
}

# without: policy.file
policy {
  consul_kv = "tidegate/policy"
}

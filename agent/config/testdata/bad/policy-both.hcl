policy {
  consul_kv = "tidegate/policy"
}

# On top of acl-policy.hcl, for the agents that `tidegate policy apply` may go
# through: they write the policy into every datacenter.
key "tidegate/policy" {
  policy = "write"
}

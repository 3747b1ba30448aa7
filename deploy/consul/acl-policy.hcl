# What the token of a Tidegate agent may do, and nothing else:
#   consul acl policy create -name tidegate-agent -rules @acl-policy.hcl
#   consul acl token create -description "tidegate eu-1" -policy-name tidegate-agent
# The token is needed in every datacenter: make it in the primary one.

# Follow the health of services. Name the services instead of the empty prefix
# where agents should not see all of them.
service_prefix "" {
  policy = "read"
}

# An instance without an address of its own has its node's.
node_prefix "" {
  policy = "read"
}

# Register and deregister the agent itself.
service "tidegate" {
  policy = "write"
}

# Read the policy.
key "tidegate/policy" {
  policy = "read"
}

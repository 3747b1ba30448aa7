# without: region gossip.keys tls.mesh.cert tls.mesh.key tls.mesh.ca tls.edge.cert tls.edge.key tls.edge.client_ca listeners.admin.token policy.file catalog
name = "a1"

# without: tls.mesh.cert tls.mesh.key
tls {
  mesh {
    cert = "device.pem"
    key  = "device.key"
  }
}

# without: tls.mesh.cert
tls {
  mesh {
    cert = "nowhere.pem"
  }
}

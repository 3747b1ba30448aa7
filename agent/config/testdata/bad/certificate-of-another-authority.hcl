# without: tls.mesh.ca
tls {
  mesh {
    ca = "stranger.pem"
  }
}

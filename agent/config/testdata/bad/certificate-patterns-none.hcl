identity {
  certificate {}
}

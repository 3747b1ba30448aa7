# without: catalog
catalog {
  consul {}
  static {}
}

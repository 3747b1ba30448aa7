# without: catalog
catalog {
}

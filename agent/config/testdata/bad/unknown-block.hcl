listener {
}

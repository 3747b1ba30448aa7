limits {
  max_header_bytes = "16kb"
}

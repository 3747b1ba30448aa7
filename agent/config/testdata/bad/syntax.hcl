log {
  level = 
}

service {}

# without: catalog
catalog {
  consul {
    token      = "hunter2hunter2"
    token_file = "token"
    ca_file    = "nowhere.pem"
    check      = "http"
    wait_time  = "1h"
  }
}

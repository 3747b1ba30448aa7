package cli

import (
	"github.com/tidegate/tidegate/agent/config"
	"github.com/tidegate/tidegate/policy"
)

// validateDrill checks a drill file. The syntax is checked here; the reader of
// drills joins when there is one.
func validateDrill(file policy.File) error {
	_, err := config.Format(file.Name, file.Src)
	return err
}

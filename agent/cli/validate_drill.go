package cli

import (
	"github.com/tidegate/tidegate/agent/drill"
	"github.com/tidegate/tidegate/policy"
)

// validateDrill checks a drill file; the policy it may name is checked by
// `drill run`, or when it is itself validated.
func validateDrill(file policy.File) error {
	_, err := drill.Parse(file.Name, file.Src)
	return err
}

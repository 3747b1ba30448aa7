package cli

import "github.com/tidegate/tidegate/agent/drill"

// validateDrill checks a drill file and the policy it names.
func validateDrill(file string) error {
	_, err := drill.ReadFile(file)
	return err
}

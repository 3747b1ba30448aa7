package cli

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"

	"github.com/spf13/cobra"
)

const gossipKeyBytes = 32

func newKeygen() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "keygen",
		Short: "Make a key that encrypts gossip",
		Long: "Makes a random key of 32 bytes for gossip.keys, in base64. All agents of the mesh\n" +
			"share it. To rotate: add the new key last everywhere, then first, then remove the old.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			key := make([]byte, gossipKeyBytes)
			rand.Read(key)
			line := base64.StdEncoding.EncodeToString(key) + "\n"
			if out == "" {
				_, err := fmt.Fprint(cmd.OutOrStdout(), line)
				return err
			}
			return writeNew(out, []byte(line), secretMode, false)
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "write to this `file`, readable by its owner only, instead of standard output")
	return cmd
}

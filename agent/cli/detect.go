package cli

import (
	"fmt"
	"os"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/json"

	"github.com/tidegate/tidegate/agent/config"
)

// fileKind is what a file is, by the blocks at its top.
type fileKind string

const (
	kindConfig fileKind = "config"
	kindPolicy fileKind = "policy"
	kindDrill  fileKind = "drill"
)

// topBlocks tells kinds apart; no block name is in two of them.
var topBlocks = map[fileKind][]string{
	kindConfig: {"log", "listeners", "tls", "gossip", "catalog", "policy", "limits"},
	kindPolicy: {"service", "route"},
	kindDrill:  {"drill"},
}

// detect finds out what a source is. A file that no block gives away, or that
// does not parse, counts as configuration, whose reader then says what is wrong
// without showing text that could be a secret.
func detect(name string, src []byte) fileKind {
	if config.TooDeep(src) {
		return kindConfig
	}
	for kind, blocks := range topBlocks {
		if kind != kindConfig && hasBlock(name, src, blocks) {
			return kind
		}
	}
	return kindConfig
}

func hasBlock(name string, src []byte, blocks []string) bool {
	if strings.HasSuffix(name, ".json") {
		file, _ := json.Parse(src, name)
		return file != nil && anyKey(file.Body, blocks)
	}
	file, _ := hclsyntax.ParseConfig(src, name, hcl.InitialPos)
	if file == nil {
		return false
	}
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok {
		return false
	}
	for _, block := range body.Blocks {
		for _, want := range blocks {
			if block.Type == want {
				return true
			}
		}
	}
	return false
}

func anyKey(body hcl.Body, names []string) bool {
	attrs, _ := body.JustAttributes()
	for _, name := range names {
		if attrs[name] != nil {
			return true
		}
	}
	return false
}

// readSource reads a file that the command line names; that it cannot be read
// is a usage error.
func readSource(path string) ([]byte, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, usageError{fmt.Errorf("cannot read the file: %w", err)}
	}
	return src, nil
}

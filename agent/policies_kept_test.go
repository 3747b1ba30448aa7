package agent

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestPolicyIsKeptOnceThereIsRoom(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not yet")
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		k := &kept{file: filepath.Join(dir, "policy.hcl"), log: slog.New(slog.NewTextHandler(&said, nil))}
		go k.run(t.Context())
		k.keep([]byte("old"))
		k.keep([]byte("new"))
		time.Sleep(2 * keepAgain)
		if src, err := k.read(); src != nil || err != nil {
			t.Fatalf("kept without room: %q, %v", src, err)
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		time.Sleep(keepAgain + time.Second)
		synctest.Wait()
		if src, _ := k.read(); string(src) != "new" {
			t.Errorf("kept is %q", src)
		}
		if n := strings.Count(said.String(), "\n"); n != 2 {
			t.Errorf("want the trouble and its end said once each:\n%s", said.String())
		}
	})
}

//go:build linux

package wan

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// An owner is the process that a network belongs to: its number and when it
// began, in ticks since the machine's start, so that another process with the
// same number is not taken for it. Folders carry it in their names, processes in
// their environment; namespaces and devices need no mark, they end with it.
type owner struct {
	pid   int
	since string
}

const (
	dirPrefix = "tidegate-wan."
	variable  = "WAN_OWNER"
)

func (o owner) String() string { return fmt.Sprintf("%d.%s", o.pid, o.since) }

func self() owner { return owner{os.Getpid(), began(os.Getpid())} }

func parseOwner(text string) (o owner, ok bool) {
	pid, since, _ := strings.Cut(text, ".")
	number, err := strconv.Atoi(pid)
	return owner{number, since}, err == nil && since != ""
}

func (o owner) alive() bool { return began(o.pid) == o.since }

// began is when a process did (proc_pid_stat(5), starttime); empty when it is
// gone, or a zombie.
func began(pid int) string {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// Fields count from behind the command's name, which may hold anything.
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	const state, start = 0, 19
	if len(fields) <= start || fields[state] == "Z" || fields[state] == "X" {
		return ""
	}
	return fields[start]
}

// mark is in the environment of what this process starts.
func mark() string { return variable + "=" + self().String() }

func makeDir() (string, error) {
	dir, err := os.MkdirTemp("", dirPrefix+self().String()+".")
	if err != nil {
		return "", fmt.Errorf("make a folder: %w", err)
	}
	return dir, nil
}

// Runs lists the folders of networks whose owner lives, this process's too.
func Runs() []string { return runs(true) }

func runs(alive bool) (found []string) {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*")) // a good pattern
	for _, dir := range dirs {
		if o, ok := parseOwner(ownerOf(dir)); ok && o.alive() == alive {
			found = append(found, dir)
		}
	}
	return found
}

// ownerOf is the owner in a folder's name, without the random part behind it.
func ownerOf(dir string) string {
	name := strings.TrimPrefix(filepath.Base(dir), dirPrefix)
	if last := strings.LastIndexByte(name, '.'); last > 0 {
		name = name[:last]
	}
	return name
}

// Clean removes what networks left whose owners ended without Close: processes
// and folders, and with the processes their namespaces. It says what it removed.
func Clean() (removed []string, err error) {
	orphans, err := find(isOrphan)
	for _, p := range orphans {
		if kill := ended(p.Signal(unix.SIGKILL)); kill != nil {
			err = errors.Join(err, fmt.Errorf("kill process %d: %w", p.Pid, kill))
			continue
		}
		removed = append(removed, fmt.Sprintf("process %d", p.Pid))
	}
	for _, dir := range runs(false) {
		err = errors.Join(err, os.RemoveAll(dir))
		removed = append(removed, dir)
	}
	if err != nil {
		err = fmt.Errorf("wan: clean: %w", err)
	}
	return removed, err
}

// isOrphan says of a folder in /proc that its process has an owner who is gone.
// Those of other users are not ours to see.
func isOrphan(dir string) bool {
	raw, err := os.ReadFile(filepath.Join(dir, "environ"))
	if err != nil {
		return false
	}
	for entry := range bytes.SplitSeq(raw, []byte{0}) {
		if text, ok := strings.CutPrefix(string(entry), variable+"="); ok {
			o, ok := parseOwner(text)
			return ok && !o.alive()
		}
	}
	return false
}

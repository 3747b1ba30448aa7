//go:build linux

package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/test/overload/judge"
)

// previousRelease is what a build of it says it is.
const previousRelease = "previous"

// commitsBack is how old a stand-in for the previous release is where nothing was
// released yet.
const commitsBack = 40

// buildPrevious builds the previous release from this repository's history.
func (m *mesh) buildPrevious(ctx context.Context) error {
	commit, err := m.previousCommit(ctx)
	if err != nil {
		return err
	}
	src := filepath.Join(m.dir, "previous-src")
	if err := m.unpack(ctx, commit, src); err != nil {
		return err
	}
	defer os.RemoveAll(src)
	out := filepath.Join(m.dir, "tidegate-previous")
	flags := "-X github.com/tidegate/tidegate/agent/cli.release=" + previousRelease
	build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-trimpath", "-ldflags", flags, "-o", out, ".")
	build.Dir, build.Env = src, append(os.Environ(), "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the previous release, %s: %w: %s", commit, err, bytes.TrimSpace(said))
	}
	m.previous = out
	m.out.say("the previous release is %s", commit)
	return nil
}

// previousCommit is the one asked for, the last tag before this one, or one some
// way back.
func (m *mesh) previousCommit(ctx context.Context) (string, error) {
	if m.opt.previous != "" {
		return m.opt.previous, nil
	}
	if tag, err := m.git(ctx, "describe", "--tags", "--abbrev=0", "HEAD~1"); err == nil {
		return tag, nil
	}
	commit, err := m.git(ctx, "log", "--first-parent", "--format=%h", "-n", "1", fmt.Sprintf("--skip=%d", commitsBack))
	if err != nil || commit == "" {
		return "", errors.Join(fmt.Errorf("there is no history to build a previous release from (a shallow clone?): name one with --previous"), err)
	}
	return commit, nil
}

func (m *mesh) git(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = m.root
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w", args[0], err)
	}
	return strings.TrimSpace(string(out)), nil
}

// unpack puts the files of a commit into a folder.
func (m *mesh) unpack(ctx context.Context, commit, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tarball := dir + ".tar"
	defer os.Remove(tarball)
	if _, err := m.git(ctx, "archive", "--output", tarball, commit); err != nil {
		return fmt.Errorf("unpack %s: %w", commit, err)
	}
	if said, err := exec.CommandContext(ctx, "tar", "-xf", tarball, "-C", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("unpack %s: %w: %s", commit, err, bytes.TrimSpace(said))
	}
	return nil
}

// every second agent, so that each region has both releases.
func (x *exercise) everySecond() (half []*agent) {
	for i, a := range x.agents() {
		if i%2 == 0 {
			half = append(half, a)
		}
	}
	return half
}

// goBack starts half of the agents with the previous release. What that fails
// itself, when it starts, is not judged.
func (x *exercise) goBack() error {
	if x.noPrevious != nil {
		return x.noPrevious
	}
	return x.startAgain(x.everySecond(), func(a *agent) { a.run = []string{x.previous} })
}

// goForth is for agents that were not upgraded because the drill ended before.
func (x *exercise) goForth() error {
	left := slices.DeleteFunc(x.everySecond(), func(a *agent) bool { return a.run == nil })
	return x.startAgain(left, func(a *agent) { a.run = nil })
}

func (x *exercise) neighbours() error {
	half := x.everySecond()
	from := x.mark("half of the agents run the previous release")
	old, err := x.ofPrevious()
	if err != nil {
		return err
	}
	if err := x.pause(x.long(15*time.Second, 5*time.Second)); err != nil {
		return err
	}
	upgraded := x.mark("they are upgraded")
	if err := x.roll(half, func(a *agent) { a.run = nil }); err != nil {
		return err
	}
	if err := x.settle(time.Now()); err != nil {
		return err
	}
	if err := x.pause(5 * time.Second); err != nil {
		return err
	}
	x.bar(judge.AtLeast("agents of the previous release among the others", float64(old), "agents", float64(len(half))), from, upgraded)
	x.rolled(from, time.Now().Add(-5*time.Second))
	return nil
}

// ofPrevious counts the agents of the previous release, as an agent sees them that
// is not.
func (x *exercise) ofPrevious() (n int, err error) {
	var ans admin.MembersAnswer
	if err := x.agents()[1].get(x.ctx, admin.PathMembers, &ans); err != nil {
		return 0, err
	}
	for _, m := range ans.Members {
		if strings.Contains(m.Version, previousRelease) {
			n++
		}
	}
	return n, nil
}

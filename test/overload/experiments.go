package main

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/tidegate/tidegate/test/overload/judge"
)

// experiment measures something and gives the bars it decides.
type experiment struct {
	name string
	run  func(context.Context, *lab) ([]judge.Bar, error)
}

func experiments() []experiment {
	return []experiment{
		{"decision", decisionTime},
		{"overload", overloads},
		{"lognormal", lognormal},
		{"step", steps},
		{"halved", halved},
		{"refusal", refusals},
		{"brownout", brownout},
		{"fairness", fairness},
		{"region", regionLost},
	}
}

func names() (all []string) {
	for _, e := range experiments() {
		all = append(all, e.name)
	}
	return all
}

// run gives the exit status.
func run(ctx context.Context, opt options) (int, error) {
	l, err := newLab(ctx, opt)
	if err != nil {
		return 1, err
	}
	defer l.close()
	l.say("seed %d, %d slots of %s", opt.seed, opt.slots, opt.hold)
	r := report{json: opt.json}
	for _, e := range experiments() {
		if len(opt.only) > 0 && !slices.Contains(opt.only, e.name) {
			continue
		}
		l.say("— %s", e.name)
		bars, err := l.tryAgain(ctx, e)
		if err != nil {
			return 1, fmt.Errorf("%s: %w", e.name, err)
		}
		r.add(bars)
	}
	r.table(os.Stdout)
	l.say("seed %d", opt.seed)
	return r.status(), nil
}

// tries is how often a measurement is made until the machine lets it be judged.
func (l *lab) tries() int { return l.times(3, 1) }

func (l *lab) tryAgain(ctx context.Context, e experiment) (bars []judge.Bar, err error) {
	for range l.tries() {
		if err = l.quiet(ctx); err != nil {
			return nil, err
		}
		bars, err = e.run(ctx, l)
		l.stopAll()
		if err != nil || !slices.ContainsFunc(bars, func(b judge.Bar) bool { return b.Refused != "" }) {
			return bars, err
		}
	}
	return bars, err
}

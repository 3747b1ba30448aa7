package inject

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/policy"
)

// diary is a book, and what it did.
type diary struct {
	*Book
	done []string
	bad  bool
}

func newDiary() *diary {
	d := &diary{}
	d.Book = NewBook(func(f admin.Fault) (End, error) {
		if d.bad {
			return nil, errors.New("not possible")
		}
		d.done = append(d.done, "begin "+f.ID)
		return ended(func() { d.done = append(d.done, "end "+f.ID) }), nil
	}, slog.New(slog.DiscardHandler))
	return d
}

func outage(id, region string, seconds float64) admin.Fault {
	return admin.Fault{ID: id, Kind: admin.FaultRegionOutage, Region: region, Seconds: seconds}
}

func TestAFaultEndsByItselfWhoeverAskedIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDiary()
		defer d.Close()
		ctx, gone := context.WithCancel(t.Context())
		if err := d.AddFault(ctx, outage("a", "eu-1", 5)); err != nil {
			t.Fatal(err)
		}
		gone()
		time.Sleep(4 * time.Second)
		if left := d.Faults(); len(left) != 1 || left[0].RemainingSeconds != 1 {
			t.Errorf("after 4 of 5 s: %+v", left)
		}
		time.Sleep(1001 * time.Millisecond)
		synctest.Wait()
		if want := []string{"begin a", "end a"}; len(d.Faults()) != 0 || !slices.Equal(d.done, want) {
			t.Errorf("after its time: %v in force, %v", d.Faults(), d.done)
		}
		if err := d.RemoveFault(t.Context(), "a"); !errors.Is(err, admin.ErrNotFound) {
			t.Errorf("ended again: %v", err)
		}
	})
}

func TestAFaultIsRefusedThatIsThereAlreadyOrMakesNoSense(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDiary()
		defer d.Close()
		if err := d.AddFault(t.Context(), outage("a", "eu-1", 5)); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			fault admin.Fault
			kind  error
		}{
			{outage("a", "eu-2", 5), admin.ErrConflict}, {outage("b", "eu-1", 5), admin.ErrConflict},
			{outage("b", "eu-2", 0), policy.ErrInvalid}, {outage("", "eu-2", 5), policy.ErrInvalid}, {outage("b", "", 5), policy.ErrInvalid},
		} {
			if err := d.AddFault(t.Context(), c.fault); !errors.Is(err, c.kind) {
				t.Errorf("%+v: %v", c.fault, err)
			}
		}
		if d.bad = true; d.AddFault(t.Context(), outage("b", "eu-2", 5)) == nil {
			t.Error("what cannot begin is in force")
		}
		if len(d.Faults()) != 1 || !slices.Equal(d.done, []string{"begin a"}) {
			t.Errorf("%v in force, %v", d.Faults(), d.done)
		}
	})
}

func TestOnlySoManyFaultsAreInForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDiary()
		defer d.Close()
		for n := range Most + 1 {
			name := string(rune('A' + n))
			err := d.AddFault(t.Context(), outage(name, "region-"+name, 5))
			if want := n == Most; errors.Is(err, admin.ErrConflict) != want {
				t.Errorf("fault %d: %v", n+1, err)
			}
		}
	})
}

// A mesh that is stopped ends its agents itself.
func TestNothingBeginsOrEndsInABookThatIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDiary()
		if err := d.AddFault(t.Context(), outage("a", "eu-1", 5)); err != nil {
			t.Fatal(err)
		}
		d.Close()
		if err := d.AddFault(t.Context(), outage("b", "eu-2", 5)); !errors.Is(err, admin.ErrConflict) {
			t.Errorf("begun: %v", err)
		}
		if err := d.RemoveFault(t.Context(), "a"); !errors.Is(err, admin.ErrNotFound) {
			t.Errorf("ended: %v", err)
		}
		time.Sleep(time.Minute)
		if !slices.Equal(d.done, []string{"begin a"}) {
			t.Errorf("%v", d.done)
		}
	})
}

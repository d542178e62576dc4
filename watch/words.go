package watch

import (
	"fmt"
	"strings"

	"github.com/spoor-dev/spoor/flow"
)

// amount is an amount for people.
func amount(w World, a flow.Asset, v flow.Amount) string {
	symbol, decimals := w.Name(a)
	return v.Decimal(decimals) + " " + symbol
}

// total is sums for people: "5 ETH and 10 USDC".
func total(w World, sums []sum) string {
	words := make([]string, 0, len(sums))
	for _, s := range sums {
		if v, ok := s.total.Amount(); ok {
			words = append(words, amount(w, s.asset, v))
		} else {
			symbol, _ := w.Name(s.asset)
			words = append(words, "more "+symbol+" than can be")
		}
	}
	return series(words, 4)
}

// name is an account with who is said to be behind it.
func name(w World, a flow.Account) string {
	if a.IsZero() {
		return "nobody"
	}
	if p, ok := w.Party(a); ok && p.Name != "" {
		return a.Address() + " (" + p.Name + ")"
	}
	return a.Address()
}

// names are accounts, the first three of them by name.
func names(w World, accounts []flow.Account) string {
	words := make([]string, 0, 4)
	for _, a := range accounts[:min(len(accounts), 3)] {
		words = append(words, name(w, a))
	}
	if n := len(accounts) - len(words); n > 0 {
		words = append(words, count(n, "other"))
	}
	return series(words, 4)
}

// series joins words as people do, and says how many it leaves out.
func series(words []string, most int) string {
	if n := len(words) - most; n > 0 {
		words = append(words[:most:most], fmt.Sprintf("%d more", n))
	}
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// count is a number of things.
func count[N int | int64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// age is a time in seconds as people say it.
func age(seconds int64) string {
	switch {
	case seconds >= 2*86400:
		return fmt.Sprintf("%d days", seconds/86400)
	case seconds >= 2*3600:
		return fmt.Sprintf("%d hours", seconds/3600)
	}
	return fmt.Sprintf("%d seconds", seconds)
}

// thousandths is a share of a theft for people.
func thousandths(billionths uint64) string {
	switch n := billionths / 1_000_000; {
	case n == 0:
		return "less than a thousandth of the theft"
	case n >= 1000:
		return "all of the theft"
	default:
		return fmt.Sprintf("%d of 1000 parts of the theft", n)
	}
}

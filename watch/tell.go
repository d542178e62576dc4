package watch

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/finding"
)

// tell makes alerts of what there is to say about one case or list: the most severe and heaviest ones, and a summary of
// the others.
func (b *block) tell(g *group) ([]alert.Alert, error) {
	told, rest := pick(g.all, b.config.PerBlock)
	var alerts []alert.Alert
	seen := map[string]bool{}
	for _, c := range told {
		f, err := c.make()
		if err != nil {
			return nil, fmt.Errorf("%s of %.80q at %s: %w", c.rule, g.owner, c.tx.ID, err)
		}
		a := alert.Alert{
			Key: g.owner + "/" + f.Rule + "/" + f.ID.String(), Kind: alert.Found, Severity: f.Severity, Case: g.owner, Title: f.Title,
			Text: f.Sentence, Chain: f.Chain, At: b.seen.Block.Point, Tx: c.tx.ID, Finding: &f, Contact: c.contact, Seen: b.seen.At,
		}
		if !seen[a.Key] { // a log may be there twice
			seen[a.Key] = true
			alerts = append(alerts, a)
		}
	}
	if len(rest) > 0 {
		alerts = append(alerts, b.summary(g, rest))
		b.held += int64(len(rest))
	}
	if g.list != nil && len(alerts) > 0 {
		if n := b.dustSaid(g.list); n > 0 {
			alerts[0].Text += fmt.Sprintf(" Besides, %s of dust or of tokens that nobody vouches for were counted since the last alert about this list.", count(n, "movement"))
		}
	}
	return alerts, nil
}

// pick takes the most severe and heaviest ones, at most so many; both stay in their order.
func pick(all []candidate, most int) (told, rest []candidate) {
	if len(all) <= most {
		return all, nil
	}
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		a, b := &all[i], &all[j]
		return cmp.Or(cmp.Compare(b.severity, a.severity), cmp.Compare(b.weight, a.weight))
	})
	chosen := make([]bool, len(all))
	for _, i := range order[:most] {
		chosen[i] = true
	}
	for i, c := range all {
		if chosen[i] {
			told = append(told, c)
		} else {
			rest = append(rest, c)
		}
	}
	return told, rest
}

// summary is one alert for all that are not told by themselves. Its key is of them, not of their block.
func (b *block) summary(g *group, rest []candidate) alert.Alert {
	severity := finding.Info
	rules := map[string]int{}
	var order, keys []string
	var sums []sum
	for i := range rest {
		c := &rest[i]
		severity = max(severity, c.severity)
		if rules[c.rule]++; rules[c.rule] == 1 {
			order = append(order, c.rule)
		}
		keys = append(keys, c.rule+" "+c.tx.ID.String())
		for _, s := range c.sums {
			if v, ok := s.total.Amount(); ok {
				sums = plus(sums, s.asset, v)
			}
		}
	}
	slices.Sort(keys)
	slices.Sort(order)
	digest := sha256.Sum256([]byte(strings.Join(keys, "\n")))
	words := make([]string, len(order))
	for i, r := range order {
		words[i] = fmt.Sprintf("%d × %s", rules[r], r)
	}
	how := "Trace the case to see all of it"
	if g.list != nil {
		how = "Look at the transactions of the block to see all of it"
	}
	text := fmt.Sprintf("This block brought %s more than are told one by one: %s. Together they are about %s. %s.",
		count(len(rest), "judgement"), series(words, 8), total(b.world, sums), how)
	p := b.seen.Block.Point
	return alert.Alert{
		Key: g.owner + "/summary/" + hex.EncodeToString(digest[:]), Kind: alert.Found, Severity: severity, Case: g.owner,
		Title: fmt.Sprintf("%d more", len(rest)), Text: finding.Clean(text, 1000), Chain: p.Chain, At: p, Seen: b.seen.At,
	}
}

package live

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spoor-dev/spoor/config"
	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/source/follow"
)

// Check reads every file that a configuration names, and returns all that is wrong with them.
func Check(c config.Config) error {
	_, casesErr := readCases(c.Cases)
	_, listsErr := readLists(c)
	all := []error{casesErr, listsErr}
	for _, s := range c.Alerts.Sinks {
		if _, err := s.Open(); err != nil {
			all = append(all, err)
		}
	}
	for _, ch := range c.Chains {
		nodes, err := engine.OpenNodes(ch, follow.Config{})
		if err != nil {
			all = append(all, fmt.Errorf("chain %s: %w", ch.Chain, err))
			continue
		}
		nodes.Close()
	}
	return errors.Join(all...)
}

// askFor is how long one node may take.
const askFor = 20 * time.Second

// Ask asks every node of a configuration for its chain and its head, and takes one block apart; it returns a sentence
// for each. The error is of the nodes that cannot be used.
func Ask(ctx context.Context, c config.Config) (sentences []string, err error) {
	var all []error
	for _, ch := range c.Chains {
		for i := range ch.Nodes {
			one := ch
			one.Nodes = ch.Nodes[i : i+1]
			sentence, err := ask(ctx, one)
			if err != nil {
				all = append(all, fmt.Errorf("chain %s, node %d: %w", ch.Chain, i, err))
				continue
			}
			sentences = append(sentences, sentence)
		}
	}
	return sentences, errors.Join(all...)
}

func ask(ctx context.Context, c config.Chain) (string, error) {
	nodes, err := engine.OpenNodes(c, follow.Config{})
	if err != nil {
		return "", err
	}
	defer nodes.Close()
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	return nodes.Describe(ctx)
}

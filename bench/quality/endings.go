package quality

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"

	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/flow"
)

// A maker is what params.json says of a case that a generator made.
type maker struct {
	Generator string `json:"generator"` // empty for a case that is not simulated
	Thefts    []struct {
		Theft int    `json:"theft"`
		Asset string `json:"asset"`
	} `json:"thefts"`
}

// maxParams bounds params.json, which is read whole.
const maxParams = 16 << 20

// readMaker reads params.json; a case may be without.
func readMaker(dir string) (m maker, err error) {
	in, path, err := open(dir, "params.json")
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	defer in.Close()
	text, err := io.ReadAll(io.LimitReader(in, maxParams+1))
	if err != nil {
		return m, fmt.Errorf("%s: %w", path, err)
	}
	if len(text) > maxParams {
		return m, fmt.Errorf("%s: larger than %d bytes", path, maxParams)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// readEndings reads where the loot is at the end, if the truth says so: holdings.csv, who has it, and sinks.csv, the
// services that it went into. What was forwarded by a deposit address is at the service, what was not is at that address.
func (c *Case) readEndings(dir string) error {
	m, err := readMaker(filepath.Dir(dir))
	if err != nil {
		return err
	}
	put := func(r row, address string) error {
		chain, err := flow.ParseChain(r.text("chain"))
		if err != nil {
			return err
		}
		a, err := flow.ParseAccountOn(chain, address)
		if err != nil {
			return err
		}
		asset, err := m.stolen(c.Store.Chains()[0], r.text("theft"))
		if err != nil {
			return err
		}
		v, err := flow.ParseAmount(r.text("claim"))
		if err != nil {
			return fmt.Errorf("claim: %w", err)
		}
		c.Truth.Endings = append(c.Truth.Endings, Place{a, asset, v})
		return nil
	}
	err = readFile(dir, "holdings.csv", []string{"theft", "chain", "account", "claim"}, func(r row) error {
		return put(r, r.text("account"))
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil // sinks alone are not all of it
	}
	if err != nil {
		return err
	}
	err = readFile(dir, "sinks.csv", []string{"theft", "chain", "service", "via", "claim", "swept"}, func(r row) error {
		swept, err := r.yes("swept")
		if err != nil {
			return err
		}
		if via := r.text("via"); via != "" && !swept {
			return put(r, via)
		}
		return put(r, r.text("service"))
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// stolen is the asset of a theft, which is in the case's first chain.
func (m maker) stolen(chain flow.Chain, theft string) (flow.Asset, error) {
	n, err := strconv.Atoi(theft)
	if err != nil {
		return flow.Asset{}, fmt.Errorf("theft %.40q: not a number", theft)
	}
	for _, t := range m.Thefts {
		if t.Theft == n && t.Asset != "" {
			return engine.ParseAsset(chain, t.Asset)
		}
	}
	return flow.Asset{}, fmt.Errorf("theft %d: params.json names no such theft with its asset", n)
}

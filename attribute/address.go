package attribute

import "github.com/spoor-dev/spoor/flow"

// ParseAddress reads an address in any form that flow.ParseAccount takes.
func ParseAddress(s string) (flow.Account, error) { return flow.ParseAccount(s) }

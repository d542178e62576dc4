// Package house holds the tests that hold the tree against ARCHITECTURE.md and the house rules.
package house

// Package flow holds the nouns: what moved on a chain, between whom, and how much.
//
// Every value is immutable, comparable where Go allows it, and valid because it exists: data from outside enters by
// the Parse functions, and only there can it fail. The package is pure: it sees no clock, disk, network or chance.
package flow

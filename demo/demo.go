// Package demo holds the data of the demo: a theft as bare chain facts, the first blocks of Bitcoin, and their stories.
package demo

import "embed"

// FS holds the files of this folder. PROVENANCE.md says where each comes from, STORY.md what they show.
//
//go:embed *.csv *.json *.md *.zst
var FS embed.FS

package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// A bar shows how far long work has come, on a terminal only, on one line of stderr.
type bar struct {
	w     io.Writer // nil: not a terminal
	width int
	start time.Time
	last  time.Time
}

// newBar is a bar on stderr, or one that shows nothing if that is no terminal.
func (p *program) newBar() *bar {
	b := &bar{start: time.Now()}
	if f, ok := p.err.(*os.File); ok && !p.quiet && term.IsTerminal(int(f.Fd())) {
		b.w, b.width = f, 80
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			b.width = w
		}
	}
	return b
}

// show draws the bar, at most ten times a second. Without a total it only tells.
func (b *bar) show(done, total int64, what string) {
	if b.w == nil || time.Since(b.last) < 100*time.Millisecond {
		return
	}
	b.last = time.Now()
	line := what
	if total > 0 {
		part := min(float64(done)/float64(total), 1)
		const cells = 24
		full := int(part * cells)
		line = fmt.Sprintf("%s%s %3.0f%%  %s", strings.Repeat("█", full), strings.Repeat("░", cells-full), part*100, what)
		if spent := time.Since(b.start); part > 0.02 && spent > 2*time.Second {
			line += fmt.Sprintf("  %s left", time.Duration(float64(spent)*(1-part)/part).Round(time.Second))
		}
	}
	if r := []rune(line); len(r) > b.width-1 {
		line = string(r[:max(b.width-1, 0)])
	}
	fmt.Fprintf(b.w, "\r\x1b[K%s", line)
}

// clear takes the bar away.
func (b *bar) clear() {
	if b.w != nil {
		fmt.Fprint(b.w, "\r\x1b[K")
	}
}

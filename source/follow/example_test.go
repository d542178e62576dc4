package follow_test

import (
	"context"
	"fmt"
	"time"

	"github.com/spoor-dev/spoor/source"
	"github.com/spoor-dev/spoor/source/follow"
	"github.com/spoor-dev/spoor/source/follow/followtest"
)

// A reader that was on a branch which lost is led to the one that won.
func ExampleSource_Steps() {
	base := followtest.NewBranch(chain, "base", 3)
	lost, won := base.Grow("lost", 1), base.Grow("won", 2)
	src, err := follow.New([]follow.Node{followtest.NewNode("one", chain, won), followtest.NewNode("two", chain, won)},
		follow.Config{Chain: chain, Check: followtest.Check})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for step, err := range src.Steps(ctx, lost.Known(100)) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(map[source.Op]string{source.Add: "add", source.Undo: "undo", source.Final: "final"}[step.Op], step.Block.Point.Height)
		if step.Block.Point == won.Head().Point {
			break // a live source has no end of its own
		}
	}
	// Output:
	// undo 3
	// add 3
	// add 4
}

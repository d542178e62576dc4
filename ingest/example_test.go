package ingest_test

import (
	"context"
	"fmt"
	"strings"

	dectext "github.com/spoor-dev/spoor/decode/text"
	"github.com/spoor-dev/spoor/ingest"
	"github.com/spoor-dev/spoor/source/text"
	"github.com/spoor-dev/spoor/store/memstore"
)

func ExampleRun() {
	src, err := text.Parse("chain.txt", strings.NewReader(`
block 1 aa                # the theft
eth:victim eth:thief ETH 100
block 2 bb
eth:thief eth:shop ETH ten
eth:thief eth:next ETH 90
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	st := memstore.New()
	for range 2 {
		stats, err := ingest.Run(context.Background(), src, dectext.New(), st, ingest.Config{})
		fmt.Println(stats.Blocks, "blocks,", stats.Movements, "movements,", stats.Quarantined, "refused;", err)
	}
	// Output:
	// 2 blocks, 2 movements, 1 refused; <nil>
	// 0 blocks, 0 movements, 0 refused; <nil>
}

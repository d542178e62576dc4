// Package scenarios tells thefts as stories and runs them: prose on top of each file, one sentence per step, the chain
// and the answers below.
package scenarios

import (
	"context"
	"flag"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spoor-dev/spoor/internal/cli"
)

var update = flag.Bool("update", false, "rewrite the answers in the scenarios; then read the diff")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"spoor": func() { os.Exit(cli.Main(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) },
	})
}

func TestScenarios(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: ".", UpdateScripts: *update, Setup: func(e *testscript.Env) error {
		e.Setenv("XDG_DATA_HOME", e.WorkDir)
		return nil
	}})
}

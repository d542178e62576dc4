package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
	"github.com/spoor-dev/spoor/engine"
)

func (p *program) version() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of the program and of what it writes",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := struct {
				Version string `json:"version"`
				Commit  string `json:"commit,omitempty"`
				Trace   int    `json:"trace_version"`
				Go      string `json:"go"`
				System  string `json:"system"`
			}{engine.Version, "", engine.TraceVersion, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
			if info, ok := debug.ReadBuildInfo(); ok {
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						v.Commit = s.Value
					}
				}
			}
			if p.json {
				return json.NewEncoder(p.out).Encode(v)
			}
			text := fmt.Sprintf("spoor %s (%s, %s)\n", v.Version, v.Go, v.System)
			if v.Commit != "" {
				text += "commit " + v.Commit + "\n"
			}
			_, err := io.WriteString(p.out, text)
			return err
		},
	}
}

package cli

import (
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/flow"
)

// The elements of GraphML (graphml.graphdrawing.org) that Spoor writes.
type (
	graphML struct {
		XMLName xml.Name   `xml:"graphml"`
		Space   string     `xml:"xmlns,attr"`
		Keys    []graphKey `xml:"key"`
		Graph   graphBody  `xml:"graph"`
	}
	graphKey struct {
		ID   string `xml:"id,attr"`
		For  string `xml:"for,attr"`
		Name string `xml:"attr.name,attr"`
		Type string `xml:"attr.type,attr"`
	}
	graphBody struct {
		ID    string      `xml:"id,attr"`
		Edges string      `xml:"edgedefault,attr"`
		Nodes []graphNode `xml:"node"`
		Lines []graphEdge `xml:"edge"`
	}
	graphNode struct {
		ID   string      `xml:"id,attr"`
		Data []graphData `xml:"data"`
	}
	graphEdge struct {
		From string      `xml:"source,attr"`
		To   string      `xml:"target,attr"`
		Data []graphData `xml:"data"`
	}
	graphData struct {
		Key   string `xml:"key,attr"`
		Value string `xml:",chardata"`
	}
)

// writeGraphML writes accounts as nodes and transfers that carried claim as edges, with the claim under each rule. Amounts
// are strings: GraphML has no exact number that is large enough.
func writeGraphML(w io.Writer, a *engine.Answer) error {
	columns := claimColumns(a)
	g := graphML{Space: "http://graphml.graphdrawing.org/xmlns", Graph: graphBody{ID: "trace", Edges: "directed"}}
	key := func(on, name, kind string) { g.Keys = append(g.Keys, graphKey{on + "_" + name, on, name, kind}) }
	for _, n := range []string{"address", "label", "role", "end_reason", "stolen_asset"} {
		key("node", n, "string")
	}
	key("node", "score", "double")
	for _, n := range append([]string{"tx_hash", "asset", "amount", "stolen_asset", "sink"}, columns...) {
		key("edge", n, "string")
	}
	key("edge", "log_index", "long")
	key("edge", "block", "long")
	key("edge", "time", "long")
	key("edge", "score", "double")
	nodes := map[string]bool{}
	node := func(id string, data ...graphData) {
		if !nodes[id] {
			nodes[id] = true
			g.Graph.Nodes = append(g.Graph.Nodes, graphNode{id, data})
		}
	}
	for _, r := range engine.AddressRows(a.Report) {
		node(r.Account.String(), graphData{"node_address", r.Account.Address()}, graphData{"node_role", r.Role()},
			graphData{"node_label", clean(a.Labels[r.Account.String()].Name)}, graphData{"node_end_reason", strings.Join(slices.Concat(r.Ends, r.Sinks), " ")},
			graphData{"node_stolen_asset", r.Stolen.Name()}, graphData{"node_score", billionths(r.Score)})
	}
	id := func(of flow.Account, chain flow.Chain, without string) string {
		if of.IsZero() {
			node(chain.String()+"#"+without, graphData{"node_role", without})
			return chain.String() + "#" + without
		}
		node(of.String(), graphData{"node_address", of.Address()})
		return of.String()
	}
	for _, e := range engine.EdgeRows(a.Report) {
		chain := e.Asset.Chain()
		sink := string(e.Sink)
		if sink == "" {
			sink = "nobody"
		}
		data := []graphData{{"edge_tx_hash", chain.FormatHash(e.Tx)}, {"edge_log_index", fmt.Sprint(e.Index)},
			{"edge_block", fmt.Sprint(e.At.Height)}, {"edge_time", fmt.Sprint(e.Time)}, {"edge_asset", e.Asset.Name()},
			{"edge_amount", e.Amount.String()}, {"edge_stolen_asset", e.Stolen.Name()}, {"edge_sink", string(e.Sink)}, {"edge_score", billionths(e.Score)}}
		for i, c := range e.Claims {
			data = append(data, graphData{"edge_" + columns[i], c.String()})
		}
		g.Graph.Lines = append(g.Graph.Lines, graphEdge{id(e.From, chain, "issued"), id(e.To, chain, sink), data})
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", " ")
	if err := enc.Encode(g); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

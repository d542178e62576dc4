// Package config is the one file that says what a running Spoor follows, whom it tells, and how it is kept healthy.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/spoor-dev/spoor/alert/sink"
	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
)

// Config is a configuration file: YAML, in which unknown keys are errors and relative paths are relative to the file.
// Its doc tags are what `spoor config explain` and the JSON Schema say; a default tag is the value of a key that is
// left out.
type Config struct {
	Store    string            `yaml:"store" doc:"folder of the store; it is made where it is not there" default:"the user's data folder"`
	Labels   []string          `yaml:"labels" doc:"CSV files with labels, beside those in the store's folder" default:"those in the store's folder alone"`
	Chains   []Chain           `yaml:"chains" doc:"what is followed, one entry for each chain"`
	Cases    []Case            `yaml:"cases" doc:"thefts that are followed for as long as they stand here"`
	Lists    []List            `yaml:"lists" doc:"accounts that are watched, whatever they do"`
	Contacts map[string]string `yaml:"contacts" doc:"whom to call to stop money, by the name of a service or of the actor behind it, as labels write it"`
	Alerts   Alerts            `yaml:"alerts" doc:"who is told what"`
	Disk     Disk              `yaml:"disk" doc:"when to stop before the disk is full"`
	Listen   Listen            `yaml:"listen" doc:"metrics, health, state and a page, over HTTP"`

	path string
}

// A Chain is one chain and the nodes that serve it.
type Chain struct {
	Chain         flow.Chain `yaml:"chain" doc:"CAIP-2 identifier, such as eip155:1, or bip122:000000000019d6689c085ae165831e93 for Bitcoin"`
	Nodes         []Node     `yaml:"nodes" doc:"endpoints that serve the chain; with two or more they check each other"`
	From          string     `yaml:"from" doc:"where an empty store begins: a height, or head" default:"head"`
	Agree         int        `yaml:"agree" doc:"how many nodes must name the same block before it is taken; 0 is two where there are two" default:"0"`
	Confirmations uint64     `yaml:"confirmations" doc:"how deep a block lies before it counts as final, where the nodes do not say; 0 is 64, or 100 on UTXO chains" default:"0"`
	Finality      string     `yaml:"finality" doc:"which block of EVM nodes counts as final: finalized, safe, or confirmations" default:"finalized"`
	Poll          Duration   `yaml:"poll" doc:"how often nodes that do not push are asked for their head" default:"1s"`
	GiveUp        *Duration  `yaml:"give_up" doc:"after how long a block that no node can give is left as a hole, to be filled later; 0s waits for ever" default:"2m"`
	Fill          *bool      `yaml:"fill" doc:"fill holes when nodes can give the blocks" default:"true"`
	Backfill      *uint64    `yaml:"backfill" doc:"height from which on the past is read in the background, newest first, below where the store begins" default:"the past is left out"`
	Unproved      bool       `yaml:"unproved" doc:"take blocks whose roots cannot be recomputed (layer 2 chains with transactions of their own kinds); a node can then leave things out unseen" default:"false"`
	Pending       bool       `yaml:"pending" doc:"look at transactions that are not in a block yet, as an early and provisional signal" default:"false"`
}

// A Node is one endpoint.
type Node struct {
	URL          string            `yaml:"url" doc:"http or https address of the JSON-RPC endpoint, without secrets"`
	URLFile      string            `yaml:"url_file" doc:"file that holds the address, where a key is part of it"`
	WS           string            `yaml:"ws" doc:"ws or wss address, by which the node says that there is a new block"`
	WSFile       string            `yaml:"ws_file" doc:"file that holds the ws address"`
	User         string            `yaml:"user" doc:"user name for HTTP basic authentication"`
	PasswordFile string            `yaml:"password_file" doc:"file that holds the password"`
	CookieFile   string            `yaml:"cookie_file" doc:"cookie file of Bitcoin Core"`
	BearerFile   string            `yaml:"bearer_file" doc:"file that holds a bearer token"`
	HeaderFiles  map[string]string `yaml:"header_files" doc:"further HTTP headers, each with the file that holds its value"`
	Private      bool              `yaml:"private" doc:"the node may stand in a private network, or on this machine" default:"false"`
	Traces       string            `yaml:"traces" doc:"coin moved by calls inside of transactions: auto takes them where the node offers them, must refuses a node without, never does not ask" default:"auto"`
	Timeout      Duration          `yaml:"timeout" doc:"time for one answer" default:"20s"`
	MaxAnswer    Size              `yaml:"max_answer" doc:"bytes of one answer" default:"256MiB"`

	// Password is one that was typed on the command line; a file names another file.
	Password string `yaml:"-"`
}

// A Case is a theft to follow.
type Case struct {
	ID     string `yaml:"id" doc:"its name, in alerts too" default:"the name of the file"`
	Theft  string `yaml:"theft" doc:"a theft file, as for spoor trace --theft; or a folder, of which each .json and .csv file is a case"`
	Budget int    `yaml:"budget" doc:"transactions that each rule may read before it stands still" default:"1000000"`
}

// A List is a watch list.
type List struct {
	Name     string            `yaml:"name" doc:"its name, in alerts too"`
	Accounts []string          `yaml:"accounts" doc:"accounts in any usual form; an EVM address without a chain is watched on every EVM chain that is followed"`
	File     string            `yaml:"file" doc:"a file with one account a line, in the same form; # begins a comment"`
	Severity finding.Severity  `yaml:"severity" doc:"of what is told about them: info, low, medium, high, critical" default:"medium"`
	Least    map[string]string `yaml:"least" doc:"by asset (CAIP-19), the amount in the smallest unit below which what they get is counted and not told"`
	Dormant  Duration          `yaml:"dormant" doc:"who gives after so long a silence is told of with severity high; 0s never" default:"0s"`
	Contact  string            `yaml:"contact" doc:"whom to call about them"`
}

// Alerts are who is told what.
type Alerts struct {
	Sinks    []Sink   `yaml:"sinks" doc:"where messages go"`
	Routes   []Route  `yaml:"routes" doc:"which sinks get what: the first that matches, and the next ones as long as one says continue; without any every sink gets everything"`
	MaxAge   Duration `yaml:"max_age" doc:"after how long without success a message goes to the dead letters" default:"72h"`
	Keep     Duration `yaml:"keep" doc:"how long the text of what was told is kept at least; that it was told is known for ever" default:"90d"`
	Margin   uint64   `yaml:"margin" doc:"how many blocks above its own the new branch must have before an alert is corrected" default:"2"`
	PerBlock int      `yaml:"per_block" doc:"alerts of one case or list and block; the others become one summary" default:"25"`
}

// A Sink is where messages go, and how many it wants. One of the kinds stands in it.
type Sink struct {
	Name         string                   `yaml:"name" doc:"its name"`
	Webhook      *sink.WebhookConfig      `yaml:"webhook" doc:"signed messages as www.standardwebhooks.com says"`
	Alertmanager *sink.AlertmanagerConfig `yaml:"alertmanager" doc:"Alertmanager of Prometheus"`
	Slack        *sink.SlackConfig        `yaml:"slack" doc:"an incoming webhook of Slack"`
	PagerDuty    *sink.PagerDutyConfig    `yaml:"pagerduty" doc:"Events API v2 of PagerDuty"`
	Telegram     *sink.TelegramConfig     `yaml:"telegram" doc:"a bot of Telegram"`
	Mail         *sink.MailConfig         `yaml:"mail" doc:"e-mail by SMTP"`
	File         *sink.FileConfig         `yaml:"file" doc:"a file with one JSON object a line"`
	PerMinute    int                      `yaml:"per_minute" doc:"messages a minute; 0 is no limit" default:"0"`
	Burst        int                      `yaml:"burst" doc:"messages at once" default:"1"`
	Quiet        []Quiet                  `yaml:"quiet" doc:"hours in which only the severest are sent at once, and the others wait"`
}

// A Route says which alerts go to which sinks.
type Route struct {
	Name     string           `yaml:"name" doc:"its name" default:"its number"`
	Sinks    []string         `yaml:"sinks" doc:"names of sinks"`
	Kinds    []string         `yaml:"kinds" doc:"of the first message: finding, provisional, state; what corrects one follows it" default:"all"`
	Severity finding.Severity `yaml:"severity" doc:"this severity and above" default:"info"`
	Case     string           `yaml:"case" doc:"name of the case or list; * stands for any letters" default:"all"`
	Chains   []flow.Chain     `yaml:"chains" doc:"chains" default:"all"`
	Continue bool             `yaml:"continue" doc:"look at the routes behind this one, too" default:"false"`
	Wait     *Duration        `yaml:"wait" doc:"how long alerts below high wait for others to go with them in one message" default:"5s"`
	Group    int              `yaml:"group" doc:"most alerts in one message" default:"20"`
}

// Quiet is a time of the day in which few are told.
type Quiet struct {
	From     string           `yaml:"from" doc:"HH:MM"`
	To       string           `yaml:"to" doc:"HH:MM; earlier than from: on the next day"`
	Zone     string           `yaml:"zone" doc:"time zone, such as Europe/Berlin" default:"UTC"`
	Days     []string         `yaml:"days" doc:"mon tue wed thu fri sat sun, of the beginning" default:"all"`
	Severity finding.Severity `yaml:"severity" doc:"this severity and above is sent all the same" default:"critical"`
}

// Disk is when writing stops.
type Disk struct {
	Low     Size  `yaml:"low" doc:"free bytes below which nothing more is taken in" default:"the smaller of 2GiB and a twentieth of the disk"`
	Resume  Size  `yaml:"resume" doc:"free bytes above which it goes on" default:"half as much again as low, the smaller of 3GiB and 7 % of the disk"`
	Ballast *Size `yaml:"ballast" doc:"size of a file that is kept to be deleted when the disk is full all the same; 0 is none" default:"256MiB"`
}

// Listen is the server beside it.
type Listen struct {
	Address string `yaml:"address" doc:"address to listen on, or none" default:"127.0.0.1:8421"`
	Keys    string `yaml:"keys" doc:"file with the keys of those who may ask, as for spoor serve; needed for any other address than this machine's own"`
	Cert    string `yaml:"tls_cert" doc:"file with the certificate, for HTTPS"`
	Key     string `yaml:"tls_key" doc:"file with the certificate's key"`
}

// maxFile bounds the file; a watch list with many accounts stands in a file of its own.
const maxFile = 8 << 20

// Read reads a configuration file and makes its paths absolute. It looks at no other file: see Check. Errors name the
// line.
func Read(path string) (Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return Config{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return Config{}, err
	}
	c, err := Parse(text, filepath.Dir(path))
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	c.path = path
	return c, nil
}

// Parse reads the text of a configuration whose relative paths are relative to a folder.
func Parse(text []byte, folder string) (Config, error) {
	if len(text) > maxFile {
		return Config{}, fmt.Errorf("more than %d bytes: put long lists of accounts into files of their own", maxFile)
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	var c Config
	if err := d.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return Config{}, fault(text, err)
	}
	var more yaml.Node
	if err := d.Decode(&more); err == nil {
		return Config{}, fmt.Errorf("line %d: a second document", more.Line)
	}
	folder, err := filepath.Abs(folder)
	if err != nil {
		return Config{}, err
	}
	c.fill()
	c.resolve(folder)
	return c, c.verify()
}

var unknownKey = regexp.MustCompile(`field (.+) not found in type \S+`)

// fault says what is wrong with a text, and in which line. A value that reads itself does not know its line: it is that of
// the first value which the error quotes.
func fault(text []byte, err error) error {
	var many *yaml.TypeError
	if errors.As(err, &many) {
		lines := make([]string, len(many.Errors))
		for i, e := range many.Errors {
			lines[i] = unknownKey.ReplaceAllString(e, "there is no key $1 here")
		}
		return errors.New(strings.Join(lines, "; "))
	}
	said := strings.TrimPrefix(err.Error(), "yaml: ")
	var root yaml.Node
	if strings.HasPrefix(said, "line ") || yaml.Unmarshal(text, &root) != nil {
		return errors.New(said)
	}
	if line := lineOf(&root, said, maxDepth); line > 0 {
		return fmt.Errorf("line %d: %s", line, said)
	}
	return errors.New(said)
}

// maxDepth is how deep lineOf looks: deeper than a configuration can be.
const maxDepth = 32

func lineOf(n *yaml.Node, said string, depth int) int {
	if n.Kind == yaml.ScalarNode && n.Value != "" && strings.Contains(said, fmt.Sprintf("%.40q", n.Value)) {
		return n.Line
	}
	for _, inner := range n.Content {
		if depth > 0 {
			if line := lineOf(inner, said, depth-1); line > 0 {
				return line
			}
		}
	}
	return 0
}

// AddNode adds the nodes of a chain to those that are there.
func (c *Config) AddNode(ch Chain) {
	for i := range c.Chains {
		if c.Chains[i].Chain == ch.Chain {
			c.Chains[i].Nodes = append(c.Chains[i].Nodes, ch.Nodes...)
			return
		}
	}
	c.Chains = append(c.Chains, ch)
}

// Complete puts in the defaults of what was added since the file was read, and finds what cannot be.
func (c *Config) Complete() error {
	c.fill()
	return c.verify()
}

// Path is the file that the configuration was read from.
func (c Config) Path() string { return c.path }

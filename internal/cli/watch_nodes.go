package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/spoor-dev/spoor/api"
	"github.com/spoor-dev/spoor/config"
	decbitcoin "github.com/spoor-dev/spoor/decode/bitcoin"
	decevm "github.com/spoor-dev/spoor/decode/evm"
	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/engine/live"
	"github.com/spoor-dev/spoor/internal/fetch"
	"github.com/spoor-dev/spoor/internal/rpc"
	"github.com/spoor-dev/spoor/source/evmrpc"
)

// readConfig reads a configuration file.
func (p *program) readConfig(path string) (config.Config, error) {
	c, err := config.Read(path)
	if err != nil {
		return c, misuse(err, "%s", hintOr(err, "\"spoor config explain\" lists all keys; \"spoor config check FILE\" says whether it is right"))
	}
	return c, nil
}

// watchFault says what to do about a configuration that cannot be used.
func watchFault(err error) error {
	if f := (*failure)(nil); err == nil || errors.As(err, &f) || errors.Is(err, live.ErrRestart) {
		return err
	}
	return misuse(err, "%s", hintOr(err, "docs/formats/theft.md shows the form of a theft file; \"spoor config check FILE\" reads all files that a configuration names"))
}

// listenHint is what to do where nobody can listen.
func listenHint(err error) string {
	switch {
	case errors.Is(err, api.ErrOpen):
		return "listen on 127.0.0.1, or name the keys of those who may ask under listen.keys of the configuration (\"spoor serve --new-key NAME\" makes one)"
	case errors.Is(err, syscall.EADDRINUSE):
		return "another program listens there, perhaps another spoor watch: name another address with --listen, or none"
	case errors.Is(err, syscall.EACCES):
		return "ports below 1024 are for root: name another address with --listen"
	}
	return "name an address of this machine with --listen, such as 127.0.0.1:8421, or none"
}

// sinkNames are the names of the sinks of a configuration.
func sinkNames(c config.Config) (names []string) {
	for _, s := range c.Alerts.Sinks {
		names = append(names, s.Name)
	}
	return names
}

// sayWhat says what will be followed and who will be told.
func (p *program) sayWhat(c config.Config, silent bool) {
	for _, ch := range c.Chains {
		p.say("follows %s on %s, with %s and %s", ch.Chain, engine.Count(len(ch.Nodes), "node"), engine.Count(len(c.Cases), "case"), engine.Count(len(c.Lists), "list"))
	}
	told := sinkNames(c)
	if !silent {
		told = append(told, "stdout")
	}
	switch {
	case len(told) == 0:
		p.say("spoor: nobody is told: there is no sink, and --silent\nhint: name sinks under alerts.sinks of the configuration; \"spoor config explain alerts.sinks\" lists the kinds")
	case len(c.Cases)+len(c.Lists) == 0:
		p.say("spoor: there is nothing to tell: no case and no list\nhint: name a theft with --theft, accounts with --list, or both in a --config; blocks are stored meanwhile")
	default:
		p.say("tells %s", strings.Join(told, ", "))
	}
}

// firstLook asks each node once, and says what it offers, or what to do about it: a node that is down may come back, so
// that this ends nothing.
func firstLook(ctx context.Context, c config.Config, log *slog.Logger) {
	sentences, err := live.Ask(ctx, c)
	if ctx.Err() != nil {
		return
	}
	for _, s := range sentences {
		log.Info(s)
	}
	for _, err := range parts(err) {
		log.Warn("a node cannot be used as it is", "error", oneLine(err.Error()), "hint", nodeHint(err))
	}
}

// parts are the errors that were joined.
func parts(err error) []error {
	if err == nil {
		return nil
	}
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		return all.Unwrap()
	}
	return []error{err}
}

// nodeHint is what to do about a node that cannot be used.
func nodeHint(err error) string {
	var status *rpc.Status
	var dns *net.DNSError
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.Is(err, fetch.ErrPrivate):
		return "it stands in a private network or on this machine: write private: true beside its url"
	case errors.As(err, &status) && (status.Code == http.StatusUnauthorized || status.Code == http.StatusForbidden):
		return "it wants a user and password, a cookie or a token, and not this one: user and password_file, cookie_file or bearer_file in a configuration, KIND:http://user:password@host on the command line"
	case errors.Is(err, rpc.ErrBusy):
		return "it asks for patience, or still starts: wait, or name a second node"
	case errors.As(err, &status):
		return "something else than a node answers there: check the address and its path"
	case errors.Is(err, http.ErrSchemeMismatch):
		return "it speaks plain http: write http:// and not https://"
	case errors.As(err, &untrusted):
		return "its certificate is not trusted by this machine: add its authority to the system's, or name another address"
	case errors.As(err, &dns):
		return "there is no such host: check the name"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: is the node running, with its JSON-RPC on that port?"
	case errors.Is(err, context.DeadlineExceeded):
		return "it did not answer in time: is it reachable from here, and not busy?"
	case errors.Is(err, evmrpc.ErrTraces):
		return "name a node that offers trace_block or debug_traceBlockByHash, or leave traces at auto: coin that contracts move is not seen then"
	case errors.Is(err, rpc.ErrMethod):
		return "is it a node of that kind? evm-rpc is for Ethereum-like nodes, bitcoin-rpc for Bitcoin; or its JSON-RPC does not offer the method"
	case errors.Is(err, rpc.ErrAnswer):
		return "what listens there speaks no JSON-RPC: check the port and the path of the address"
	case errors.Is(err, decevm.ErrRoot), errors.Is(err, decbitcoin.ErrRoot):
		return "the node changed or left out something; or it is a layer 2 with transactions of its own kinds: then write unproved: true beside the chain, and believe its nodes"
	case errors.Is(err, engine.ErrKind):
		return "write the kind before the address: evm-rpc:http://host:8545 or bitcoin-rpc:http://user:password@host:8332"
	}
	return hintOr(err, "write evm-rpc:http://host:8545 or bitcoin-rpc:http://user:password@host:8332; in a configuration the chain must be the one that the node serves")
}

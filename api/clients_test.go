package api

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// clientScript asks the sanctions oracle through the ABI of its contract, as a dApp does: first with viem, then with ethers.
// Both make the calls by themselves that they make against a node.
const clientScript = `
import { createPublicClient, http, parseAbi } from 'viem'
import { mainnet } from 'viem/chains'
import { Contract, JsonRpcProvider } from 'ethers'
const [url, listed, clean, blind] = process.argv.slice(2)
const oracle = '0x40C57923924B5c5c5455c48D93317139ADDaC8fb'
const failed = async (call) => { try { await call(); return 'an answer' } catch { return 'an error' } }
const client = createPublicClient({ chain: mainnet, transport: http(url, { retryCount: 0 }) })
const abi = parseAbi(['function isSanctioned(address addr) view returns (bool)', 'function name() view returns (string)'])
const viem = (a) => client.readContract({ address: oracle, abi, functionName: 'isSanctioned', args: [a] })
console.log('viem', await client.getChainId(), await viem(listed), await viem(clean), await failed(() => viem(blind)))
const provider = new JsonRpcProvider(url)
const contract = new Contract(oracle, ['function isSanctioned(address addr) view returns (bool)'], provider)
console.log('ethers', Number((await provider.getNetwork()).chainId), await contract.isSanctioned(listed), await contract.isSanctioned(clean), await failed(() => contract.isSanctioned(blind)))
provider.destroy()
`

// TestClientsOfTheOracle runs the libraries that dApps ask the sanctions oracle with against the server.
func TestClientsOfTheOracle(t *testing.T) {
	const want = "viem 1 true false an error\nethers 1 true false an error\n"
	if out := runClient(t, "viem", clientScript, "/rpc", ofacAddress, knownAddress, blindAddress); out != want {
		t.Errorf("%s\nwant\n%s", out, want)
	}
}

// mistScript asks with SlowMist's own client, which npm's package misttrack holds.
const mistScript = `
import { createRequire } from 'module'
const { MistTrackClient } = createRequire(import.meta.url)('misttrack/dist/utils/misttrackClient.js')
const [url, listed, clean] = process.argv.slice(2)
const client = new MistTrackClient('a key', url, 1000, 0)
const status = await client.getApiStatus()
console.log('status', status.success, (await client.getSupportedCoins()).includes('ETH'))
const say = (what, a) => console.log(what, a.success, a.data?.risk_level, a.data?.score > 90, a.data?.risk_detail?.[0]?.risk_type)
say('listed', await client.getRiskScore('ETH', listed))
say('clean', await client.getRiskScore('ETH', clean))
const labels = await client.getAddressLabels('ETH', listed)
console.log('labels', labels.success, labels.data.label_list.length > 0)
const wrong = await client.getRiskScore('ETH', '0x12')
console.log('wrong', wrong.success, !!wrong.data?.risk_level)
`

// TestClientOfMistTrack runs the vendor's own client against the server.
func TestClientOfMistTrack(t *testing.T) {
	const want = "status true true\nlisted true Severe true sanctioned_entity\nclean true Low false undefined\nlabels true true\nwrong false false\n"
	if out := runClient(t, "misttrack", mistScript, "", ofacAddress, knownAddress); out != want {
		t.Errorf("%s\nwant\n%s", out, want)
	}
}

// runClient runs a script that asks a server at that path with a package of SPOOR_CLIENTS, and returns what it printed.
func runClient(t *testing.T, name, script, path string, args ...string) string {
	t.Helper()
	dir := os.Getenv("SPOOR_CLIENTS")
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("absent: node")
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", name)); dir == "" || err != nil {
		t.Skipf("absent: %s in SPOOR_CLIENTS, where .ci/clients.sh installs it", name)
	}
	s, _ := newTestServer(t, func(c *Config) { c.Timeout = 5 * time.Second })
	server := httptest.NewServer(s)
	defer server.Close()
	f, err := os.CreateTemp(dir, "ask-*.mjs")
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(f.Name())
	if _, err = f.WriteString(script); err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, append([]string{f.Name(), server.URL + path}, args...)...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return string(out)
}

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
	dir := os.Getenv("SPOOR_CLIENTS")
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("absent: node")
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "viem")); dir == "" || err != nil {
		t.Skip("absent: viem and ethers in SPOOR_CLIENTS, where .ci/clients.sh installs them")
	}
	s, _ := newTestServer(t, func(c *Config) { c.Timeout = 5 * time.Second })
	server := httptest.NewServer(s)
	defer server.Close()
	f, err := os.CreateTemp(dir, "ask-*.mjs")
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(f.Name())
	if _, err = f.WriteString(clientScript); err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, f.Name(), server.URL+"/rpc", ofacAddress, knownAddress, blindAddress)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	const want = "viem 1 true false an error\nethers 1 true false an error\n"
	if err != nil || string(out) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, out, want)
	}
}

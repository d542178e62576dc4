package bitcoin

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/flow"
)

const (
	generatorX = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
	generatorY = "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8"
	genesisKey = "04678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5f"
)

// Scripts and addresses from BIP 173, BIP 350, BIP 341, the genesis block and Bitcoin Core's documentation of
// pay-to-anchor. An address of "script" means that the script has none.
func TestAccounts(t *testing.T) {
	for _, tt := range []struct {
		name   string
		chain  flow.Chain
		script string
		want   string
	}{
		{"p2pkh", flow.Bitcoin, "76a91462e907b15cbf27d5425399ebf6f0fb50ebb88f1888ac", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"},
		{"p2pkh-testnet", flow.BitcoinTestnet3, "76a914751e76e8199196d454941c45d1b3a323f1433bd688ac", "mrCDrCybB6J1vRfbwM5hemdJz73FwDBC8r"},
		{"p2sh", flow.Bitcoin, "a914e9c3dd0c07aac76179ebc76a6c78d4d67c6c160a87", "3P14159f73E4gFr7JterCCQh9QjiTjiZrG"},
		{"p2wpkh", flow.Bitcoin, "0014751e76e8199196d454941c45d1b3a323f1433bd6", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"},
		{"p2wsh", flow.BitcoinTestnet3, "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262", "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7"},
		{"p2wsh-zeros", flow.BitcoinTestnet4, "0020000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433", "tb1qqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesrxh6hy"},
		{"p2tr", flow.Bitcoin, "5120" + generatorX, "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"},
		{"p2tr-signet", flow.BitcoinSignet, "5120000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433", "tb1pqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesf3hn0c"},
		{"version-1-of-40-bytes", flow.Bitcoin, "5128751e76e8199196d454941c45d1b3a323f1433bd6751e76e8199196d454941c45d1b3a323f1433bd6", "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y"},
		{"version-16", flow.Bitcoin, "6002751e", "bc1sw50qgdz25j"},
		{"version-2", flow.Bitcoin, "5210751e76e8199196d454941c45d1b3a323", "bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs"},
		{"anchor", flow.Bitcoin, "51024e73", "bc1pfeessrawgf"},
		{"anchor-regtest", flow.BitcoinRegtest, "51024e73", "bcrt1pfeesnyr2tx"},
		{"p2pk-uncompressed", flow.Bitcoin, "41" + genesisKey + "ac", "p2pk-1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"},
		{"p2pk-compressed", flow.Bitcoin, "2102" + generatorX + "ac", "p2pk-1BgGZ9tcN4rm9KBzDn7KprQz87SZ26SAMH"},
		{"p2pk-hybrid", flow.Bitcoin, "4106" + generatorX + generatorY + "ac", "p2pk-1H7NX5uHwz2Ks5JSqeDcUpvRPNubMhLoLN"},

		{"empty", flow.Bitcoin, "", "script"},
		{"op-return", flow.Bitcoin, "6a0568656c6c6f", "script"},
		{"bare-multisig", flow.Bitcoin, "5121" + "02" + generatorX + "21" + "03" + generatorX + "52ae", "script"},
		{"version-0-of-16-bytes", flow.Bitcoin, "0010751e76e8199196d454941c45d1b3a323", "script"},
		{"version-0-of-40-bytes", flow.Bitcoin, "0028751e76e8199196d454941c45d1b3a323f1433bd6751e76e8199196d454941c45d1b3a323f1433bd6", "script"},
		{"program-of-41-bytes", flow.Bitcoin, "5129" + strings.Repeat("ab", 41), "script"},
		{"program-of-1-byte", flow.Bitcoin, "5101ab", "script"},
		{"program-pushed-the-long-way", flow.Bitcoin, "514c20" + generatorX, "script"},
		{"p2pkh-and-more", flow.Bitcoin, "76a91462e907b15cbf27d5425399ebf6f0fb50ebb88f1888ac61", "script"},
		{"key-of-no-kind", flow.Bitcoin, "2105" + generatorX + "ac", "script"},
		{"cut-short", flow.Bitcoin, "4c", "script"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			script, err := hex.DecodeString(tt.script)
			if err != nil {
				t.Fatal(err)
			}
			a, err := account(tt.chain, script)
			if err != nil {
				t.Fatal(err)
			}
			want := tt.want
			if want == "script" {
				sum := sha256.Sum256(script)
				want = "script-" + hex.EncodeToString(sum[:])
			}
			if a.Address() != want || a.Chain() != tt.chain {
				t.Errorf("%s pays %s; want %s", tt.script, a, want)
			}
			if back, err := flow.ParseAccountOn(tt.chain, a.Address()); err != nil || back != a {
				t.Errorf("%s reads back as %v, %v", a, back, err)
			}
		})
	}
}

func TestScriptHeight(t *testing.T) {
	for _, tt := range []struct {
		script string
		want   uint64
		ok     bool
	}{
		{"03fc7903", 227836, true}, // block 227836
		{"03175a07", 481815, true}, // block 481815
		{"00", 0, true},
		{"51", 1, true},
		{"60", 16, true},
		{"0111", 17, true},
		{"028000", 128, true},
		{"0180", 0, false},     // minus nothing
		{"03000080", 0, false}, // longer than need be
		{"020100", 0, false},
		{"0181", 0, false}, // negative
		{"03fc79", 0, false},
		{"06010203040506", 0, false},
		{"", 0, false},
		{"6a", 0, false},
	} {
		script, err := hex.DecodeString(tt.script)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := scriptHeight(script); got != tt.want || ok != tt.ok {
			t.Errorf("scriptHeight(%s) = %d, %v; want %d, %v", tt.script, got, ok, tt.want, tt.ok)
		}
	}
}

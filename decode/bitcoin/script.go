package bitcoin

import (
	"crypto/sha256"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/txscript/v2"

	"github.com/spoor-dev/spoor/flow"
)

// account is whom an output script pays. Scripts with an address pay that address; a bare public key pays the key;
// everything else (bare multisig, data, nothing, nonsense) pays the script itself, by its hash. A program of witness
// version 0 that is neither of 20 nor of 32 bytes can never be spent and has no address: it counts as nonsense too.
func account(c flow.Chain, script []byte) (flow.Account, error) {
	switch {
	case txscript.IsPayToPubKeyHash(script):
		return flow.UTXOAccount(c, flow.PayToPubKeyHash, script[3:23])
	case txscript.IsPayToScriptHash(script):
		return flow.UTXOAccount(c, flow.PayToScriptHash, script[2:22])
	case txscript.IsPayToPubKey(script):
		return flow.UTXOAccount(c, flow.PayToPubKey, address.Hash160(script[1:len(script)-1]))
	}
	if version, program, ok := witnessProgram(script); ok {
		return flow.UTXOAccount(c, flow.PayToWitness, append([]byte{version}, program...))
	}
	sum := sha256.Sum256(script)
	return flow.UTXOAccount(c, flow.PayToScript, sum[:])
}

func witnessProgram(script []byte) (version byte, program []byte, ok bool) {
	if len(script) == 0 || !txscript.IsSmallInt(script[0]) || !txscript.IsWitnessProgram(script) {
		return 0, nil, false
	}
	program = script[2:] // the whole script is a version and one push
	if script[0] == txscript.OP_0 {
		return 0, program, len(program) == 20 || len(program) == 32
	}
	return script[0] - txscript.OP_1 + 1, program, true
}

package rows

// The columns of the two forms, as their pages in docs/formats describe them: needed ones, and those that may be absent.
var (
	TransferColumns  = []string{"chain", "block_number", "log_index", "tx_hash", "from", "to", "asset", "amount_base_units", "timestamp"}
	TransferOptional = []string{"block_hash", "parent_hash", "kind"}
	HeistColumns     = []string{"hash", "from", "to", "value", "timeStamp", "blockNumber", "contractAddress"}
	HeistOptional    = []string{"tokenSymbol", "isError", "gasPrice", "gasUsed"}
)

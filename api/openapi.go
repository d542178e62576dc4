package api

import (
	_ "embed"
	"net/http"
)

// openAPIDocument describes our own routes; a test holds it against them.
//
//go:embed openapi.json
var openAPIDocument []byte

func openAPI(c *call) *fault {
	writeBody(c.w, http.StatusOK, "application/json", openAPIDocument, 0)
	return nil
}

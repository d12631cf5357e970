package admin

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// Description is what a's operations are described by.
func Description(a *Admin) *huma.OpenAPI { return a.register(http.NewServeMux(), true).OpenAPI() }

package gateway

import _ "embed"

// Schema is the JSON Schema of the file, for editors. The file is read more strictly than it can say: [ParseConfig].
//
//go:embed schema.json
var Schema []byte

module github.com/forebay-cache/forebay

go 1.26.8

require github.com/maypok86/otter/v2 v2.4.0 // indirect

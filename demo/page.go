package demo

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
	"time"

	"github.com/forebay-cache/forebay/admin"
)

//go:embed page.html
var pageSource string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"percent": percent, "size": size, "duration": duration,
	"deref": func(f *float64) float64 { return *f },
}).Parse(pageSource))

// percent writes a rate; before the first look-up there is none.
func percent(rate *float64) string {
	if rate == nil {
		return "no data"
	}
	return fmt.Sprintf("%.1f %%", *rate*100)
}

// duration writes seconds as people say them.
func duration(seconds float64) string {
	switch d := time.Duration(seconds * float64(time.Second)).Round(time.Second); {
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d%time.Hour < time.Minute:
		return fmt.Sprintf("%d h", d/time.Hour)
	default:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	}
}

func size(n uint64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}

type pageData struct {
	Host    string // as the visitor reached the platform
	Stats   admin.Stats
	Health  admin.Health
	Classes []pageClass
}

type pageClass struct {
	Name string
	What string
	admin.ClassStats
}

var whatIs = map[string]string{
	"chat": "answers of the assistant", "partner_data": "partner lists, strict", "template_data": "templates of a clean room",
	"status_data": "state of the partner API and of queries", "session_data": "sessions, strict and private", "api_response": "results of queries",
}

// page is the front door: a verdict, the classes with live figures, links to try.
func (p *Platform) page(a *admin.Admin) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		data := pageData{Host: r.Host, Stats: a.Stats(), Health: a.Health(r.Context())}
		for _, c := range Classes {
			data.Classes = append(data.Classes, pageClass{c.Name, whatIs[c.Name], data.Stats.Classes[c.Name]})
		}
		var b bytes.Buffer
		if err := pageTemplate.Execute(&b, data); err != nil {
			return err
		}
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		w.Write(b.Bytes())
		return nil
	}
}

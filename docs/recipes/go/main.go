// Command go is an API that knows nothing of Forebay, and says of each answer for how long it may be kept (RFC 9111) and
// which group it is of (RFC 9875).
package main

import (
	"cmp"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"sync"
	"time"
)

type partner struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

func main() {
	var mu sync.Mutex
	partners := []partner{{"p-1", "Northwind"}, {"p-2", "Contoso"}}
	http.HandleFunc("GET /partners", func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(300 * time.Millisecond) // a slow source
		mu.Lock()
		defer mu.Unlock()
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "max-age=900, stale-while-revalidate=60, stale-if-error=3600")
		h.Set("Cache-Groups", `"partners"`)
		json.NewEncoder(w).Encode(partners)
	})
	http.HandleFunc("PUT /partners/{id}", func(w http.ResponseWriter, r *http.Request) {
		var sent partner
		if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		for i := range partners {
			if partners[i].ID == r.PathValue("id") {
				partners[i].Name = sent.Name
				w.Header().Set("Cache-Group-Invalidation", `"partners"`)
				w.WriteHeader(http.StatusNoContent)
				return
			}
		}
		http.NotFound(w, r)
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+cmp.Or(os.Getenv("PORT"), "5000"), nil))
}

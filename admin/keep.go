package admin

import (
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"time"
)

// keepEvery is how often the activity is written, where it has changed.
const keepEvery = 5 * time.Second

// read takes up what the file has of the past. One that cannot be read is put aside, and said.
func (y *activity) read(path string, logger *slog.Logger) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var items []Item
	if err == nil {
		if err = json.Unmarshal(text, &items); err != nil {
			err = errors.Join(err, os.Rename(path, path+".unreadable"))
		}
	}
	if err != nil {
		logger.Warn("forebay: what happened before cannot be read: the activity begins empty", "file", path, "error", err)
		return
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	y.items = items[max(0, len(items)-maxItems):]
	for i := range y.items {
		y.seq++
		y.items[i].Seq = y.seq
	}
}

// keepActivity writes the activity as it changes, until Close.
func (a *Admin) keepActivity(path string) {
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	var kept, failed string
	keep := func() {
		text, err := json.Marshal(a.activity.latest(maxItems))
		if string(text) == kept && failed == "" {
			return
		}
		if err == nil {
			err = replace(path, text)
		}
		switch {
		case err == nil:
			kept, failed = string(text), ""
		case err.Error() != failed:
			failed = err.Error()
			a.o.Logger.Warn("forebay: the activity is not kept; the next change tries again", "file", path, "error", err)
		}
	}
	for {
		select {
		case <-tick.C:
			keep()
		case <-a.stopped:
			keep()
			return
		}
	}
}

// replace writes a file in one step: who reads it has the old text or the new one.
func replace(path string, text []byte) error {
	next := path + ".new"
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return err
	}
	return os.Rename(next, path)
}

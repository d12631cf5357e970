package main

import (
	"bytes"
	"context"
	"log"
	"log/slog"
	"strings"
)

// A serverLog takes the lines that net/http writes. What a client causes (a handshake that fails, a preface that
// nothing follows) is for debugging: any client could fill the log with it.
type serverLog struct{ logger *slog.Logger }

func newServerLog(l *slog.Logger) *log.Logger { return log.New(serverLog{l}, "", 0) }

// ownFaults begin the lines that are about this program or its machine.
var ownFaults = []string{"http: panic serving", "http: Accept error", "http: superfluous", "http: invalid Content-Length", "http: WriteHeader called", "http: response."}

// Write implements [io.Writer].
func (l serverLog) Write(line []byte) (int, error) {
	level := slog.LevelDebug
	for _, begin := range ownFaults {
		if bytes.HasPrefix(line, []byte(begin)) {
			level = slog.LevelWarn
		}
	}
	l.logger.Log(context.Background(), level, strings.TrimSpace(string(line)))
	return len(line), nil
}

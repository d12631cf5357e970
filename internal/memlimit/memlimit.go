// Package memlimit finds out how much memory the process may use.
package memlimit

import (
	"bytes"
	"os"
	"strconv"
	"strings"
)

const (
	fallback   = 1 << 30   // where neither a cgroup nor the machine tells
	mostOfNear = 512 << 20 // a larger near tier is asked for, not assumed
)

// Limit is the memory in bytes that the process may use: its cgroup's, else the machine's.
func Limit() int64 {
	limit := physical()
	for _, file := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && n > 0 && n < limit {
			limit = n
		}
	}
	return limit
}

// NearDefault is the near tier's default bound: a quarter of Limit, at most 512 MiB.
func NearDefault() int64 { return min(Limit()/4, mostOfNear) }

func physical() int64 {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return fallback
	}
	_, after, _ := bytes.Cut(text, []byte("MemTotal:"))
	fields := strings.Fields(string(after))
	if len(fields) == 0 {
		return fallback
	}
	kib, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		return fallback
	}
	return kib << 10
}

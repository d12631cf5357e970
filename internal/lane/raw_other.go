//go:build !linux

package lane

const canRaw = false

func (c *conn) readRaw() (state, error) { panic("lane: no connection is read so here") }

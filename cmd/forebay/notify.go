package main

import (
	"fmt"
	"net"
	"os"
)

// notifySystemd tells the service manager how this process is (sd_notify(3)), where one has started it and asks to be told. Nobody
// else listens there, so a failure is nobody's.
func notifySystemd(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return
	}
	defer c.Close()
	fmt.Fprint(c, state)
}

// notifyReady names the process that serves: after a handover it is another than the one that was started.
func notifyReady() { notifySystemd(fmt.Sprintf("READY=1\nMAINPID=%d\nSTATUS=serving", os.Getpid())) }

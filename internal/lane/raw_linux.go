package lane

import (
	"io"
	"syscall"
	"unsafe"
)

const canRaw = true

// readRaw answers requests in one [syscall.RawConn] Read: as long as every read is short and answered, the connection goes
// on waiting for the next one without a system call that finds nothing. A short read has emptied the socket; but where the
// end came in the same segment, nobody is told of it: see [Lane.sweep].
func (c *conn) readRaw() (s state, err error) {
	var failed error
	err = c.raw.Read(func(fd uintptr) bool {
		r := rooms.Get().(*room)
		defer rooms.Put(r)
		write := func(a, b []byte) bool { return c.writeRaw(fd, a, b) }
		for {
			n, _, e := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(&r.in[0])), uintptr(len(r.in)))
			switch {
			case e == syscall.EAGAIN:
				return false
			case e == syscall.EINTR:
				continue
			case e != 0:
				failed = e
				return true
			case n == 0:
				failed = io.EOF
				return true
			}
			if s = c.answer(r, r.in[:n], write); s != drained {
				return true
			}
			if int(n) < len(r.in) {
				return false
			}
		}
	})
	if failed != nil {
		err = failed
	}
	return s, err
}

// writeRaw writes a, then b, without waiting. It returns false where not all of it went: the rest is in unsent.
func (c *conn) writeRaw(fd uintptr, a, b []byte) bool {
	n, e := 0, syscall.EINTR
	for e == syscall.EINTR {
		if b == nil {
			n, e = writeOnce(fd, a)
		} else {
			n, e = writeTwo(fd, a, b)
		}
	}
	if e != 0 {
		n = 0 // who sends the rest finds out why
	}
	if n == len(a)+len(b) {
		return true
	}
	c.unsent = append([]byte(nil), a[min(n, len(a)):]...)
	c.unsent = append(c.unsent, b[max(0, n-len(a)):]...)
	return false
}

func writeOnce(fd uintptr, a []byte) (int, syscall.Errno) {
	n, _, e := syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(unsafe.SliceData(a))), uintptr(len(a)))
	return int(n), e
}

func writeTwo(fd uintptr, a, b []byte) (int, syscall.Errno) {
	both := [2]syscall.Iovec{{Base: unsafe.SliceData(a)}, {Base: unsafe.SliceData(b)}}
	both[0].SetLen(len(a))
	both[1].SetLen(len(b))
	n, _, e := syscall.RawSyscall(syscall.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&both[0])), 2)
	return int(n), e
}

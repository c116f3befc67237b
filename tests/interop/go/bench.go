package main

// The mode bench: an end of the comparison bench (tests/bench), which has the same works and the same requests in
// Rust. A request is 64 bytes: its kind, and at offset 4 a number.

import (
	"encoding/binary"
	"io"
	"net"
	"time"

	"interop/report"

	kcp "github.com/xtaci/kcp-go/v5"
)

const (
	small     = 64
	bulkChunk = 64 << 10

	kindCall = 1
	kindBulk = 2
	kindEcho = 3

	// Longest response that a request can have.
	maxResponse = 4 << 20
)

func benchListen(o *options, block kcp.BlockCrypt) {
	listener, err := kcp.ListenWithOptions(o.addr, block, o.ds, o.ps)
	report.Check(err)
	report.Check(listener.SetReadBuffer(o.buffer))
	report.Check(listener.SetWriteBuffer(o.buffer))
	report.Listening(listener.Addr().String())
	for {
		s, err := listener.AcceptKCP()
		report.Check(err)
		o.tune(s)
		go benchServe(s)
	}
}

// benchServe ends with its session; how is of no interest.
func benchServe(s *kcp.UDPSession) {
	defer s.Close()
	request := make([]byte, small)
	var response []byte
	for {
		if _, err := io.ReadFull(s, request); err != nil {
			return
		}
		switch request[0] {
		case kindCall:
			n := min(int(binary.LittleEndian.Uint32(request[4:])), maxResponse)
			if len(response) < n {
				response = make([]byte, n)
			}
			if _, err := s.Write(response[:n]); err != nil {
				return
			}
		case kindBulk:
			go func() {
				// The client says anything more when it has had enough.
				s.Read(make([]byte, 1))
				s.Close()
			}()
			chunk := make([]byte, bulkChunk)
			for {
				if _, err := s.Write(chunk); err != nil {
					return
				}
			}
		case kindEcho:
			buffer := make([]byte, bulkChunk)
			for {
				n, err := s.Read(buffer)
				if err != nil {
					return
				}
				if _, err := s.Write(buffer[:n]); err != nil {
					return
				}
			}
		default:
			return
		}
	}
}

// benchClient makes sessions, each from a socket of its own: a listener tells sessions apart by that.
type benchClient struct {
	o     *options
	block kcp.BlockCrypt
	peer  *net.UDPAddr
}

func (c *benchClient) open() (*kcp.UDPSession, error) {
	s, err := kcp.DialWithOptions(c.peer.String(), c.block, c.o.ds, c.o.ps)
	if err != nil {
		return nil, err
	}
	report.Check(s.SetReadBuffer(c.o.buffer))
	report.Check(s.SetWriteBuffer(c.o.buffer))
	c.o.tune(s)
	return s, nil
}

// lane is a session that calls go to, one or many at a time; answers come in order.
type lane struct {
	s       *kcp.UDPSession
	writes  chan struct{}
	waiting chan expected
}

type expected struct {
	response int
	done     chan error
}

func (c *benchClient) lane() (*lane, error) {
	s, err := c.open()
	if err != nil {
		return nil, err
	}
	l := &lane{s, make(chan struct{}, 1), make(chan expected, 1<<17)}
	go l.read()
	return l, l.call(small, time.Now().Add(connectPatience))
}

func (l *lane) read() {
	buffer := make([]byte, small)
	for next := range l.waiting {
		if len(buffer) < next.response {
			buffer = make([]byte, next.response)
		}
		_, err := io.ReadFull(l.s, buffer[:next.response])
		next.done <- err
		if err != nil {
			return
		}
	}
}

// call returns errLate at the deadline.
func (l *lane) call(response int, deadline time.Time) error {
	request := make([]byte, small)
	request[0] = kindCall
	binary.LittleEndian.PutUint32(request[4:], uint32(response))
	done := make(chan error, 1)

	l.writes <- struct{}{}
	var err error = errLate
	if time.Now().Before(deadline) {
		l.waiting <- expected{response, done}
		l.s.SetWriteDeadline(deadline)
		_, err = l.s.Write(request)
	}
	<-l.writes
	if err != nil {
		return err
	}

	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return errLate
	}
}

// ask opens a session for bulk or echo.
func (c *benchClient) ask(kind byte, number int) (*kcp.UDPSession, error) {
	s, err := c.open()
	if err != nil {
		return nil, err
	}
	request := make([]byte, small)
	request[0] = kind
	binary.LittleEndian.PutUint32(request[4:], uint32(number))
	_, err = s.Write(request)
	return s, err
}

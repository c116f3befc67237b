package main

import (
	"io"
	"net"
	"sync"
	"time"

	"github.com/golang/snappy"
	kcp "github.com/xtaci/kcp-go/v5"
	"github.com/xtaci/smux"
)

// client spreads the connections that it accepts over o.conn sessions in turn. A session that has ended is replaced when
// its turn comes, and accepting waits until that has worked.
func client(o *options) {
	block, err := cipherByName(o.crypt, o.key)
	check(err)
	listener, err := net.Listen("tcp", o.local)
	check(err)
	say("listening on: %v", listener.Addr())
	sessions := make([]*smux.Session, o.conn)
	for i := range sessions {
		sessions[i] = dial(o, block)
	}
	for turn := 0; ; turn++ {
		near, err := listener.Accept()
		check(err)
		slot := &sessions[turn%len(sessions)]
		if (*slot).IsClosed() {
			*slot = dial(o, block)
		}
		go func(session *smux.Session) {
			far, err := session.OpenStream()
			if err != nil {
				say("no stream: %v", err)
				near.Close()
				return
			}
			relay(near, far, o.closewait)
		}(*slot)
	}
}

// dial tries until it has a session, which for KCP means a socket.
func dial(o *options, block kcp.BlockCrypt) *smux.Session {
	for {
		s, err := kcp.DialWithOptions(o.remote, block, o.ds, o.ps)
		if err != nil {
			say("no session: %v", err)
			time.Sleep(time.Second)
			continue
		}
		o.tune(s)
		check(s.SetReadBuffer(o.sockbuf))
		check(s.SetWriteBuffer(o.sockbuf))
		session, err := smux.Client(o.transport(s), o.smux())
		check(err)
		return session
	}
}

func server(o *options) {
	block, err := cipherByName(o.crypt, o.key)
	check(err)
	listener, err := kcp.ListenWithOptions(o.listen, block, o.ds, o.ps)
	check(err)
	check(listener.SetReadBuffer(o.sockbuf))
	check(listener.SetWriteBuffer(o.sockbuf))
	say("listening on: %v", listener.Addr())
	for {
		s, err := listener.AcceptKCP()
		check(err)
		o.tune(s)
		session, err := smux.Server(o.transport(s), o.smux())
		check(err)
		go serve(o, session)
	}
}

func serve(o *options, session *smux.Session) {
	defer session.Close()
	for {
		far, err := session.AcceptStream()
		if err != nil {
			return
		}
		go func() {
			near, err := net.Dial("tcp", o.target)
			if err != nil {
				say("no target: %v", err)
				far.Close()
				return
			}
			relay(near, far, o.closewait)
		}()
	}
}

// relay copies both ways. Where one ends, the other has so many seconds left before both are closed: as kcptun, this
// passes no half-close on.
func relay(near, far net.Conn, closewait int) {
	var both sync.WaitGroup
	var close sync.Once
	pass := func(to io.Writer, from io.Reader) {
		defer both.Done()
		io.Copy(to, from)
		time.Sleep(time.Duration(closewait) * time.Second)
		close.Do(func() {
			near.Close()
			far.Close()
		})
	}
	both.Add(2)
	go pass(near, far)
	go pass(far, near)
	both.Wait()
}

// compressed has a snappy stream in either direction, flushed with every write. It does not embed the session, whose
// WriteBuffers smux would find and call.
type compressed struct {
	io.Closer
	in  *snappy.Reader
	out *snappy.Writer
}

func compress(s *kcp.UDPSession) *compressed {
	return &compressed{s, snappy.NewReader(s), snappy.NewBufferedWriter(s)}
}

func (c *compressed) Read(b []byte) (int, error) {
	return c.in.Read(b)
}

func (c *compressed) Write(b []byte) (int, error) {
	if _, err := c.out.Write(b); err != nil {
		return 0, err
	}
	return len(b), c.out.Flush()
}

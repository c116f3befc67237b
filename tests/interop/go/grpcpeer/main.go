// Command grpcpeer is a grpc-go server or client over kcp-go under the control of a test, with hashicorp/yamux
// between them unless -mux=false.
//
// It reports on standard output, one JSON object a line, and takes the commands "snmp" and "quit" on standard input.
// It ends when standard input does, and in any case after -timeout.
package main

import (
	"context"
	"flag"
	"io"
	"net"
	"time"

	"interop/cipher"
	"interop/report"

	"github.com/hashicorp/yamux"
	kcp "github.com/xtaci/kcp-go/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// socketBuffer is what kcptun asks the kernel for, in bytes; with less a burst on the loopback interface gets lost.
const socketBuffer = 4 << 20

// window is that of every session, in segments.
const window = 1024

type options struct {
	role, addr     string
	crypt, key     string
	ds, ps         int
	mux            bool
	calls, workers int
	seed           uint64
	timeout        time.Duration
}

func parse() options {
	var o options
	flag.StringVar(&o.role, "role", "", "serve or call")
	flag.StringVar(&o.addr, "addr", "127.0.0.1:0", "where to listen, or whom to dial")
	flag.StringVar(&o.crypt, "crypt", "aes-128-gcm", "cipher, as kcptun spells it")
	flag.StringVar(&o.key, "key", "", "passphrase")
	flag.IntVar(&o.ds, "ds", 10, "data shards")
	flag.IntVar(&o.ps, "ps", 3, "parity shards")
	flag.BoolVar(&o.mux, "mux", true, "multiplex by yamux")
	flag.IntVar(&o.calls, "calls", 100, "how many calls")
	flag.IntVar(&o.workers, "workers", 32, "how many of them at a time")
	flag.Uint64Var(&o.seed, "seed", 0, "seed of the first request; one more for every further one")
	flag.DurationVar(&o.timeout, "timeout", time.Minute, "end of this process")
	flag.Parse()
	return o
}

// tune is fast3 of kcptun.
func tune(s *kcp.UDPSession) {
	s.SetStreamMode(true)
	s.SetWriteDelay(false)
	s.SetNoDelay(1, 10, 2, 1)
	s.SetWindowSize(window, window)
	s.SetACKNoDelay(true)
}

// yamuxConfig gives writes the time that a lossy link takes.
func yamuxConfig() *yamux.Config {
	config := yamux.DefaultConfig()
	config.ConnectionWriteTimeout = time.Minute
	config.LogOutput = io.Discard
	return config
}

// connections is a net.Listener of whatever is put into it.
type connections struct {
	accepted chan net.Conn
	addr     net.Addr
}

func (c *connections) Accept() (net.Conn, error) {
	return <-c.accepted, nil
}

func (c *connections) Close() error {
	return nil
}

func (c *connections) Addr() net.Addr {
	return c.addr
}

func serve(o *options, block kcp.BlockCrypt) {
	listener, err := kcp.ListenWithOptions(o.addr, block, o.ds, o.ps)
	report.Check(err)
	report.Check(listener.SetReadBuffer(socketBuffer))
	report.Check(listener.SetWriteBuffer(socketBuffer))
	incoming := &connections{make(chan net.Conn), listener.Addr()}
	go func() {
		for {
			session, err := listener.AcceptKCP()
			report.Check(err)
			tune(session)
			if o.mux {
				go demultiplex(session, incoming)
			} else {
				incoming.accepted <- session
			}
		}
	}()
	server := grpc.NewServer(grpc.ForceServerCodecV2(raw{}))
	server.RegisterService(&service, struct{}{})
	report.Listening(listener.Addr().String())
	report.Check(server.Serve(incoming))
}

func demultiplex(session net.Conn, incoming *connections) {
	mux, err := yamux.Server(session, yamuxConfig())
	report.Check(err)
	for {
		stream, err := mux.AcceptStream()
		if err != nil {
			return
		}
		incoming.accepted <- stream
	}
}

func call(o *options, block kcp.BlockCrypt) {
	connection, err := grpc.NewClient(
		"passthrough:///"+o.addr,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(raw{})),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return dial(o, block) }),
	)
	report.Check(err)
	callAll(o, connection)
	report.Check(connection.Close())
}

func dial(o *options, block kcp.BlockCrypt) (net.Conn, error) {
	session, err := kcp.DialWithOptions(o.addr, block, o.ds, o.ps)
	if err != nil {
		return nil, err
	}
	report.Check(session.SetReadBuffer(socketBuffer))
	report.Check(session.SetWriteBuffer(socketBuffer))
	tune(session)
	if !o.mux {
		return session, nil
	}
	mux, err := yamux.Client(session, yamuxConfig())
	if err != nil {
		return nil, err
	}
	return mux.OpenStream()
}

func main() {
	o := parse()
	time.AfterFunc(o.timeout, func() { report.Fail("still running after %v", o.timeout) })
	block, err := cipher.ByName(o.crypt, o.key)
	report.Check(err)
	switch o.role {
	case "serve":
		go serve(&o, block)
	case "call":
		go call(&o, block)
	default:
		report.Fail("no role %q", o.role)
	}
	report.Commands(func(command string) bool {
		switch command {
		case "snmp":
			report.Snmp()
		case "quit":
			return false
		default:
			report.Fail("no command %q", command)
		}
		return true
	})
}

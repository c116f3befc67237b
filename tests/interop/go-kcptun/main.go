// Command kcptun2026 is a tunnel of kcptun's kind on its libraries of 2026: kcp-go, smux and snappy.
//
// Its first argument is client or server, its flags are those of kcptun of January 2026, with the same meanings and
// defaults, as far as tests need them. It says "listening on: ADDRESS" on standard error once it does. As all that a
// test starts, it listens on and connects to the loopback interface only by being told to.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	kcp "github.com/xtaci/kcp-go/v5"
	"github.com/xtaci/smux"
)

type options struct {
	local, remote, listen, target string
	key, crypt, mode              string
	conn                          int
	mtu, ratelimit                int
	sndwnd, rcvwnd                int
	ds, ps                        int
	nocomp, acknodelay            bool
	nodelay, interval, resend, nc int
	sockbuf                       int
	smuxver, smuxbuf              int
	framesize, streambuf          int
	keepalive, closewait          int
}

func parse(role string, args []string) *options {
	server := role == "server"
	pick := func(client, atServer int) int {
		if server {
			return atServer
		}
		return client
	}
	o := new(options)
	f := flag.NewFlagSet(role, flag.ExitOnError)
	if server {
		f.StringVar(&o.listen, "listen", "127.0.0.1:29900", "where to accept sessions")
		f.StringVar(&o.target, "target", "127.0.0.1:12948", "where to connect to")
	} else {
		f.StringVar(&o.local, "localaddr", "127.0.0.1:12948", "where to accept connections")
		f.StringVar(&o.remote, "remoteaddr", "127.0.0.1:29900", "the server")
		f.IntVar(&o.conn, "conn", 1, "sessions")
	}
	f.StringVar(&o.key, "key", "it's a secrect", "passphrase")
	f.StringVar(&o.crypt, "crypt", "aes", "cipher")
	f.StringVar(&o.mode, "mode", "fast", "normal, fast, fast2, fast3 or manual")
	f.IntVar(&o.mtu, "mtu", 1350, "longest datagram")
	f.IntVar(&o.ratelimit, "ratelimit", 0, "bytes a second of a session")
	f.IntVar(&o.sndwnd, "sndwnd", pick(128, 1024), "send window in segments")
	f.IntVar(&o.rcvwnd, "rcvwnd", pick(512, 1024), "receive window in segments")
	f.IntVar(&o.ds, "datashard", 10, "data shards")
	f.IntVar(&o.ps, "parityshard", 3, "parity shards")
	f.BoolVar(&o.nocomp, "nocomp", false, "no compression")
	f.BoolVar(&o.acknodelay, "acknodelay", false, "acknowledge at once")
	f.IntVar(&o.nodelay, "nodelay", 0, "as for SetNoDelay")
	f.IntVar(&o.interval, "interval", 50, "as for SetNoDelay")
	f.IntVar(&o.resend, "resend", 0, "as for SetNoDelay")
	f.IntVar(&o.nc, "nc", 0, "as for SetNoDelay")
	f.IntVar(&o.sockbuf, "sockbuf", 4<<20, "bytes of either socket buffer")
	f.IntVar(&o.smuxver, "smuxver", 2, "version of smux")
	f.IntVar(&o.smuxbuf, "smuxbuf", 4<<20, "smux: bytes received and not read, of a session")
	f.IntVar(&o.framesize, "framesize", 8192, "smux: longest frame")
	f.IntVar(&o.streambuf, "streambuf", 2<<20, "smux: bytes received and not read, of a stream")
	f.IntVar(&o.keepalive, "keepalive", 10, "smux: seconds between signs of life")
	f.IntVar(&o.closewait, "closewait", pick(0, 30), "seconds from the end of one direction to that of both")
	check(f.Parse(args))
	if f.NArg() > 0 {
		fail("unexpected argument %q", f.Arg(0))
	}
	switch o.mode {
	case "normal":
		o.nodelay, o.interval, o.resend, o.nc = 0, 40, 2, 1
	case "fast":
		o.nodelay, o.interval, o.resend, o.nc = 0, 30, 2, 1
	case "fast2":
		o.nodelay, o.interval, o.resend, o.nc = 1, 20, 2, 1
	case "fast3":
		o.nodelay, o.interval, o.resend, o.nc = 1, 10, 2, 1
	}
	return o
}

// tune sets up a session as kcptun does.
func (o *options) tune(s *kcp.UDPSession) {
	s.SetStreamMode(true)
	s.SetWriteDelay(true)
	s.SetNoDelay(o.nodelay, o.interval, o.resend, o.nc)
	s.SetWindowSize(o.sndwnd, o.rcvwnd)
	if !s.SetMtu(o.mtu) {
		fail("mtu %d refused", o.mtu)
	}
	s.SetACKNoDelay(o.acknodelay)
	if o.ratelimit > 0 {
		s.SetRateLimit(uint32(o.ratelimit))
	}
}

// transport is what smux runs on.
func (o *options) transport(s *kcp.UDPSession) io.ReadWriteCloser {
	if o.nocomp {
		return s
	}
	return compress(s)
}

func (o *options) smux() *smux.Config {
	c := smux.DefaultConfig()
	c.Version = o.smuxver
	c.MaxReceiveBuffer = o.smuxbuf
	c.MaxFrameSize = o.framesize
	c.MaxStreamBuffer = o.streambuf
	c.KeepAliveInterval = time.Duration(o.keepalive) * time.Second
	check(smux.VerifyConfig(c))
	return c
}

func say(format string, args ...any) {
	fmt.Fprintln(os.Stderr, strings.TrimRight(fmt.Sprintf(format, args...), "\n"))
}

func fail(format string, args ...any) {
	say(format, args...)
	os.Exit(1)
}

func check(err error) {
	if err != nil {
		fail("%v", err)
	}
}

func main() {
	if len(os.Args) < 2 {
		fail("say client or server")
	}
	switch role := os.Args[1]; role {
	case "client":
		client(parse(role, os.Args[2:]))
	case "server":
		server(parse(role, os.Args[2:]))
	default:
		fail("no command %q", role)
	}
}

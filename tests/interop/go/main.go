// Command kcppeer is one end of a kcp-go conversation under the control of a test.
//
// It reports on standard output, one JSON object a line (report.go), and takes commands on standard input, one
// a line: "status", "snmp", "close" (every session), "quit". It ends when standard input does, on "quit", and
// in any case after -timeout. What it does meanwhile is up to -role and -mode (modes.go).
//
// Options that are not given have the values of a kcp-go session nobody has touched.
package main

import (
	"flag"
	"net"
	"sync"
	"time"

	"interop/cipher"
	"interop/report"

	kcp "github.com/xtaci/kcp-go/v5"
)

// socketBuffer is what kcptun asks the kernel for, in bytes; with less a burst on the loopback interface gets lost.
const socketBuffer = 4 << 20

type options struct {
	role, mode, addr, local   string
	sessions                  int
	conv                      uint
	crypt, key                string
	ds, ps                    int
	mtu, sndwnd, rcvwnd       int
	nodelay, interval, resend int
	nc                        int
	stream, acknodelay        bool
	writedelay                bool
	dup                       int
	ratelimit                 uint
	bytes, chunk, count       int
	seed, peerSeed            uint64
	pause, timeout            time.Duration
	hello                     bool
	work                      string
	number, buffer            int
	seconds, warmup, drain    float64
}

func parse() options {
	var o options
	flag.StringVar(&o.role, "role", "", "listen or dial")
	flag.StringVar(&o.mode, "mode", "echo", "echo, sink, source, duplex, sparse, oob or bench")
	flag.StringVar(&o.addr, "addr", "127.0.0.1:0", "where to listen, or whom to dial")
	flag.StringVar(&o.local, "local", "", "dial: from where; any port of the loopback interface if empty")
	flag.IntVar(&o.sessions, "sessions", 1, "dial: so many sessions, each from a socket of its own; only without -local")
	flag.UintVar(&o.conv, "conv", 0, "dial: the conversation; 0 for a random one")
	flag.StringVar(&o.crypt, "crypt", "null", "cipher, as kcptun spells it")
	flag.StringVar(&o.key, "key", "", "passphrase")
	flag.IntVar(&o.ds, "ds", 0, "data shards")
	flag.IntVar(&o.ps, "ps", 0, "parity shards")
	flag.IntVar(&o.mtu, "mtu", 1400, "longest datagram")
	flag.IntVar(&o.sndwnd, "sndwnd", 32, "send window in segments")
	flag.IntVar(&o.rcvwnd, "rcvwnd", 32, "receive window in segments")
	flag.IntVar(&o.nodelay, "nodelay", 0, "as for SetNoDelay")
	flag.IntVar(&o.interval, "interval", 100, "as for SetNoDelay")
	flag.IntVar(&o.resend, "resend", 0, "as for SetNoDelay")
	flag.IntVar(&o.nc, "nc", 0, "as for SetNoDelay")
	flag.BoolVar(&o.stream, "stream", false, "stream mode")
	flag.BoolVar(&o.acknodelay, "acknodelay", false, "acknowledge at once")
	flag.BoolVar(&o.writedelay, "writedelay", false, "leave sending to the timer")
	flag.IntVar(&o.dup, "dup", 0, "further copies of every datagram")
	flag.UintVar(&o.ratelimit, "ratelimit", 0, "bytes a second; 0 for no limit")
	flag.IntVar(&o.bytes, "bytes", 0, "bytes of the stream in each direction that the mode has")
	flag.IntVar(&o.chunk, "chunk", 1024, "bytes of a write, a request or an out-of-band message")
	flag.IntVar(&o.count, "count", 1, "requests or out-of-band messages")
	flag.Uint64Var(&o.seed, "seed", 0, "seed of the stream that is written; one more for every further session of a dialler")
	flag.Uint64Var(&o.peerSeed, "peer-seed", 0, "seed of the stream that is read; likewise")
	flag.DurationVar(&o.pause, "pause", 0, "between a reply and the next request")
	flag.DurationVar(&o.timeout, "timeout", time.Minute, "end of this process")
	flag.BoolVar(&o.hello, "hello", false, "dial: first write the byte '!', so that the listener learns of the session")
	flag.StringVar(&o.work, "work", "bulk", "bench, dial: what to do, as tests/bench calls it")
	flag.IntVar(&o.number, "number", 0, "bench, dial: the number of the work")
	flag.Float64Var(&o.seconds, "seconds", 3, "bench, dial: how long it is measured")
	flag.Float64Var(&o.warmup, "warmup", 0.5, "bench, dial: how long it runs before that")
	flag.Float64Var(&o.drain, "drain", 10, "bench, dial: how long calls are waited for")
	flag.IntVar(&o.buffer, "buffer", socketBuffer, "bench: what to ask the kernel for, in bytes")
	flag.Parse()
	return o
}

// tune does what applications do with a session that they have dialled or accepted.
func (o *options) tune(s *kcp.UDPSession) {
	s.SetStreamMode(o.stream)
	s.SetWriteDelay(o.writedelay)
	s.SetNoDelay(o.nodelay, o.interval, o.resend, o.nc)
	s.SetWindowSize(o.sndwnd, o.rcvwnd)
	if !s.SetMtu(o.mtu) {
		report.Fail("mtu %d refused", o.mtu)
	}
	s.SetACKNoDelay(o.acknodelay)
	s.SetDUP(o.dup)
	if o.ratelimit > 0 {
		limitRate(s, uint32(o.ratelimit))
	}
}

func listen(o *options, block kcp.BlockCrypt) {
	listener, err := kcp.ListenWithOptions(o.addr, block, o.ds, o.ps)
	report.Check(err)
	report.Check(listener.SetReadBuffer(socketBuffer))
	report.Check(listener.SetWriteBuffer(socketBuffer))
	report.Listening(listener.Addr().String())
	for {
		s, err := listener.AcceptKCP()
		report.Check(err)
		begin(o, s)
	}
}

// dial uses a socket on the loopback interface; kcp-go itself would take the wildcard address.
func dial(o *options, block kcp.BlockCrypt) {
	peer, err := net.ResolveUDPAddr("udp", o.addr)
	report.Check(err)
	local := &net.UDPAddr{IP: net.IPv6loopback}
	if peer.IP.To4() != nil {
		local.IP = net.IPv4(127, 0, 0, 1)
	}
	if o.local != "" {
		local, err = net.ResolveUDPAddr("udp", o.local)
		report.Check(err)
	}
	for i := range o.sessions {
		each := *o
		each.seed += uint64(i)
		each.peerSeed += uint64(i)
		open(&each, block, local, peer)
	}
}

func open(o *options, block kcp.BlockCrypt, local, peer *net.UDPAddr) {
	socket, err := net.ListenUDP("udp", local)
	report.Check(err)
	report.Check(socket.SetReadBuffer(socketBuffer))
	report.Check(socket.SetWriteBuffer(socketBuffer))
	var s *kcp.UDPSession
	if o.conv == 0 {
		s, err = kcp.NewConn2(peer, block, o.ds, o.ps, socket)
	} else {
		s, err = kcp.NewConn3(uint32(o.conv), peer, block, o.ds, o.ps, socket)
	}
	report.Check(err)
	begin(o, s)
	if o.hello {
		_, err = s.Write([]byte("!"))
		report.Check(err)
	}
}

func begin(o *options, s *kcp.UDPSession) {
	o.tune(s)
	remember(s)
	report.Line(session{"session", s.GetConv(), s.LocalAddr().String(), s.RemoteAddr().String()})
	run := modes[o.mode]
	if run == nil {
		report.Fail("no mode %q", o.mode)
	}
	go run(o, s)
}

var sessions struct {
	sync.Mutex
	all []*kcp.UDPSession
}

func remember(s *kcp.UDPSession) {
	sessions.Lock()
	defer sessions.Unlock()
	sessions.all = append(sessions.all, s)
}

func closeAll() {
	sessions.Lock()
	defer sessions.Unlock()
	for _, s := range sessions.all {
		s.Close()
	}
}

func main() {
	o := parse()
	time.AfterFunc(o.timeout, func() { report.Fail("still running after %v", o.timeout) })
	block, err := cipher.ByName(o.crypt, o.key)
	report.Check(err)
	switch {
	case o.role == "listen" && o.mode == "bench":
		go benchListen(&o, block)
	case o.role == "dial" && o.mode == "bench":
		go benchDial(&o, block)
	case o.role == "listen":
		go listen(&o, block)
	case o.role == "dial":
		go dial(&o, block)
	default:
		report.Fail("no role %q", o.role)
	}
	report.Commands(func(command string) bool {
		switch command {
		case "status":
			reportStatus()
		case "snmp":
			report.Snmp()
		case "close":
			closeAll()
		case "quit":
			reportStatus()
			report.Snmp()
			return false
		default:
			report.Fail("no command %q", command)
		}
		return true
	})
}

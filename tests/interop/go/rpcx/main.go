// Command rpcxpeer is an rpcx server or client over the kcp-go inside rpcx, under the control of a test.
//
// It reports on standard output, one JSON object a line, and takes the command "quit" on standard input. It ends when
// standard input does, and in any case after -timeout.
package main

import (
	"bufio"
	"context"
	"crypto/pbkdf2"
	"crypto/sha1"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/smallnest/rpcx/client"
	"github.com/smallnest/rpcx/log"
	"github.com/smallnest/rpcx/protocol"
	"github.com/smallnest/rpcx/server"
	"github.com/smallnest/rpcx/share"
	kcp "github.com/xtaci/kcp-go"
)

type options struct {
	role, addr, codec string
	calls             int
	one               bool
	timeout           time.Duration
}

func parse() options {
	var o options
	flag.StringVar(&o.role, "role", "", "serve or call")
	flag.StringVar(&o.addr, "addr", "127.0.0.1:0", "where to listen, or whom to dial")
	flag.StringVar(&o.codec, "codec", "json", "call: json, protobuf or msgpack")
	flag.IntVar(&o.calls, "calls", 100, "call: how many calls of each kind")
	flag.BoolVar(&o.one, "one", false, "call: over one connection only, so without a heartbeat over another")
	flag.DurationVar(&o.timeout, "timeout", time.Minute, "end of this process")
	flag.Parse()
	return o
}

var codecs = map[string]protocol.SerializeType{
	"json":     protocol.JSON,
	"protobuf": protocol.ProtoBuffer,
	"msgpack":  protocol.MsgPack,
}

// block is AES-256 with the key of rpcx's own examples.
func block() kcp.BlockCrypt {
	key, err := pbkdf2.Key(sha1.New, "rpcx-key", []byte("rpcx-salt"), 4096, 32)
	check(err)
	block, err := kcp.NewAESBlockCrypt(key)
	check(err)
	return block
}

func serve(o *options) {
	s := server.NewServer(server.WithBlockCrypt(block()))
	check(s.RegisterName("Arith", new(Arith), ""))
	go func() {
		for s.Address() == nil {
			time.Sleep(time.Millisecond)
		}
		report(map[string]any{"event": "listening", "addr": s.Address().String()})
	}()
	check(s.Serve("kcp", o.addr))
}

// call makes so many calls of each kind, all at a time, and checks what comes back.
func call(o *options) {
	option := client.DefaultOption
	option.SerializeType = codecs[o.codec]
	option.Block = block()
	option.Heartbeat = true
	option.HeartbeatInterval = 50 * time.Millisecond
	discovery, err := client.NewPeer2PeerDiscovery("kcp@"+o.addr, "")
	check(err)
	arith := client.NewXClient("Arith", client.Failtry, client.RandomSelect, discovery, option)

	var calls sync.WaitGroup
	for i := range o.calls {
		calls.Add(1)
		go func() {
			defer calls.Done()
			operands := &Operands{int64(i), int64(i) - 50}
			var product, quotient Number
			check(arith.Call(context.Background(), "Mul", operands, &product))
			if product.C != operands.A*operands.B {
				fail("%v times is %v", operands, product)
			}
			err := arith.Call(context.Background(), "Div", operands, &quotient)
			switch {
			case operands.B == 0 && (err == nil || err.Error() != errDivision.Error()):
				fail("%v divided: %v", operands, err)
			case operands.B != 0:
				check(err)
				if quotient.C != operands.A/operands.B {
					fail("%v divided is %v", operands, quotient)
				}
			}
			check(arith.Call(context.Background(), "Note", &Operands{A: 1}, nil))
		}()
	}
	calls.Wait()

	var sum Number
	for sum.C < int64(o.calls) {
		check(arith.Call(context.Background(), "Noted", &Operands{}, &sum))
	}
	if err := arith.Call(context.Background(), "Absent", &Operands{}, &sum); err == nil {
		fail("a method that is not there was called")
	}
	if o.codec == "json" {
		metadata := map[string]string{"trace": "über 7"}
		ctx := context.WithValue(context.Background(), share.ReqMetaDataKey, metadata)
		var value Text
		check(arith.Call(ctx, "Trace", &Text{"trace"}, &value))
		if value.Text != metadata["trace"] {
			fail("metadata came back as %q", value.Text)
		}
	}
	check(arith.Close())
	if !o.one {
		heartbeat(o)
	}
	report(map[string]any{"event": "called", "calls": o.calls})
}

// heartbeat is what a client of rpcx does by itself from time to time; this one looks at the reply.
func heartbeat(o *options) {
	option := client.DefaultOption
	option.Block = block()
	c := client.NewClient(option)
	check(c.Connect("kcp", o.addr))
	request, reply := time.Now().UnixNano(), int64(0)
	check(c.Call(context.Background(), "", "", &request, &reply))
	if reply != request {
		fail("a heartbeat of %d came back as %d", request, reply)
	}
	check(c.Close())
}

var output sync.Mutex

func report(line map[string]any) {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	output.Lock()
	defer output.Unlock()
	os.Stdout.Write(append(text, '\n'))
}

func fail(format string, args ...any) {
	report(map[string]any{"event": "error", "message": fmt.Sprintf(format, args...)})
	os.Exit(1)
}

func check(err error) {
	if err != nil {
		fail("%v", err)
	}
}

func main() {
	o := parse()
	log.SetDummyLogger()
	time.AfterFunc(o.timeout, func() { fail("still running after %v", o.timeout) })
	switch o.role {
	case "serve":
		go serve(&o)
	case "call":
		go call(&o)
	default:
		fail("no role %q", o.role)
	}
	commands := bufio.NewScanner(os.Stdin)
	for commands.Scan() && commands.Text() != "quit" {
	}
}

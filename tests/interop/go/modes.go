package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"time"

	"interop/report"
	"interop/stream"

	kcp "github.com/xtaci/kcp-go/v5"
)

// modes says what an end does with each of its sessions.
var modes = map[string]func(*options, *kcp.UDPSession){
	// Returns every message.
	"echo": echo,
	// Reads -bytes of the stream of -peer-seed, then goes on reading.
	"sink": sink,
	// Writes -bytes of the stream of -seed.
	"source": source,
	// Both at once. With an echo on the other side, both seeds are the same.
	"duplex": func(o *options, s *kcp.UDPSession) {
		go source(o, s)
		sink(o, s)
	},
	// Sends -count requests of -chunk bytes, -pause apart, each after the reply to the last: the same bytes.
	"sparse": sparse,
	// Who dials: sends -count out-of-band messages of -chunk bytes until each has come back.
	// Who listens: returns every message, out of band or not, the same way.
	"oob": func(o *options, s *kcp.UDPSession) {
		if o.role == "dial" {
			askOob(o, s)
		} else {
			echoOob(s)
			echo(o, s)
		}
	},
}

// over tells whether a session has ended by command rather than by a fault.
func over(err error) bool {
	return errors.Is(err, io.ErrClosedPipe)
}

func echo(_ *options, s *kcp.UDPSession) {
	buffer := make([]byte, 65536)
	for {
		n, err := s.Read(buffer)
		if err == nil {
			_, err = s.Write(buffer[:n])
		}
		if over(err) {
			return
		}
		report.Check(err)
	}
}

func sink(o *options, s *kcp.UDPSession) {
	expected := stream.New(o.peerSeed)
	digest := sha256.New()
	intact := true
	buffer := make([]byte, 65536)
	reference := make([]byte, len(buffer))
	for total := 0; ; {
		n, err := s.Read(buffer)
		if over(err) {
			return
		}
		report.Check(err)
		if total < o.bytes {
			part := buffer[:min(n, o.bytes-total)]
			expected.Read(reference[:len(part)])
			intact = intact && bytes.Equal(part, reference[:len(part)])
			digest.Write(part)
			total += len(part)
			if total == o.bytes {
				report.Line(transfer{"received", s.GetConv(), total, hex.EncodeToString(digest.Sum(nil)), intact})
			}
		}
	}
}

func source(o *options, s *kcp.UDPSession) {
	content := stream.New(o.seed)
	digest := sha256.New()
	buffer := make([]byte, o.chunk)
	for total := 0; total < o.bytes; {
		part := buffer[:min(o.chunk, o.bytes-total)]
		content.Read(part)
		digest.Write(part)
		_, err := s.Write(part)
		if over(err) {
			return
		}
		report.Check(err)
		total += len(part)
	}
	report.Line(transfer{"sent", s.GetConv(), o.bytes, hex.EncodeToString(digest.Sum(nil)), true})
}

func sparse(o *options, s *kcp.UDPSession) {
	content := stream.New(o.seed)
	request := make([]byte, o.chunk)
	reply := make([]byte, o.chunk)
	var micros []int64
	var rtos []uint32
	for range o.count {
		content.Read(request)
		start := time.Now()
		_, err := s.Write(request)
		report.Check(err)
		_, err = io.ReadFull(s, reply)
		report.Check(err)
		micros = append(micros, time.Since(start).Microseconds())
		rtos = append(rtos, s.GetRTO())
		if !bytes.Equal(request, reply) {
			report.Fail("a reply differs from its request")
		}
		time.Sleep(o.pause)
	}
	report.Line(replies{"replies", s.GetConv(), micros, rtos})
}

func echoOob(s *kcp.UDPSession) {
	messages := make(chan []byte, 1024)
	receiveOob(s, messages)
	go func() {
		for message := range messages {
			report.Check(sendOob(s, message))
		}
	}()
}

// askOob numbers the messages, because any of them may get lost or come back twice.
func askOob(o *options, s *kcp.UDPSession) {
	const again = 100 * time.Millisecond
	messages := make(chan []byte, 1024)
	receiveOob(s, messages)
	content := stream.New(o.seed)
	for i := range o.count {
		message := make([]byte, max(o.chunk, 4))
		content.Read(message)
		binary.LittleEndian.PutUint32(message, uint32(i))
		report.Check(sendOob(s, message))
		for returned := false; !returned; {
			select {
			case reply := <-messages:
				returned = bytes.Equal(reply, message)
			case <-time.After(again):
				report.Check(sendOob(s, message))
			}
		}
	}
	report.Line(oob{"oob", s.GetConv(), o.count})
}

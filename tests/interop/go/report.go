package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"sync"

	kcp "github.com/xtaci/kcp-go/v5"
)

// Every line of standard output is one of these.

type listening struct {
	Event string `json:"event"`
	Addr  string `json:"addr"`
}

type session struct {
	Event string `json:"event"`
	Conv  uint32 `json:"conv"`
	Local string `json:"local"`
	Peer  string `json:"peer"`
}

// transfer reports that all bytes of a stream were given to Write ("sent") or came out of Read ("received"),
// and whether they were those of the stream.
type transfer struct {
	Event  string `json:"event"`
	Conv   uint32 `json:"conv"`
	Bytes  int    `json:"bytes"`
	Sha256 string `json:"sha256"`
	Intact bool   `json:"intact"`
}

// replies reports requests that were all answered, with the time each took.
type replies struct {
	Event  string   `json:"event"`
	Conv   uint32   `json:"conv"`
	Micros []int64  `json:"micros"`
	Timing estimate `json:"timing"`
}

// oob reports out-of-band messages that all came back.
type oob struct {
	Event    string `json:"event"`
	Conv     uint32 `json:"conv"`
	Returned int    `json:"returned"`
}

type status struct {
	Event    string     `json:"event"`
	Sessions []estimate `json:"sessions"`
}

// estimate is what a session thinks of its path, in milliseconds.
type estimate struct {
	Conv    uint32 `json:"conv"`
	Rto     uint32 `json:"rto"`
	Srtt    int32  `json:"srtt"`
	SrttVar int32  `json:"srttvar"`
}

type counters struct {
	Event    string            `json:"event"`
	Counters map[string]uint64 `json:"counters"`
}

type failure struct {
	Event   string `json:"event"`
	Message string `json:"message"`
}

var output sync.Mutex

func report(line any) {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	output.Lock()
	defer output.Unlock()
	os.Stdout.Write(append(text, '\n'))
}

func estimateOf(s *kcp.UDPSession) estimate {
	return estimate{s.GetConv(), s.GetRTO(), s.GetSRTT(), s.GetSRTTVar()}
}

func reportStatus() {
	sessions.Lock()
	defer sessions.Unlock()
	line := status{"status", []estimate{}}
	for _, s := range sessions.all {
		line.Sessions = append(line.Sessions, estimateOf(s))
	}
	report(line)
}

func reportSnmp() {
	snmp := kcp.DefaultSnmp.Copy()
	line := counters{"snmp", map[string]uint64{}}
	values := snmp.ToSlice()
	for i, name := range snmp.Header() {
		value, err := strconv.ParseUint(values[i], 10, 64)
		if err == nil {
			line.Counters[name] = value
		}
	}
	report(line)
}

func fail(format string, args ...any) {
	report(failure{"error", fmt.Sprintf(format, args...)})
	os.Exit(1)
}

func check(err error) {
	if err != nil {
		fail("%v", err)
	}
}

package main

import (
	"interop/report"

	kcp "github.com/xtaci/kcp-go/v5"
)

// Every line of standard output is one of these.

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

// replies reports requests that were all answered: the time each took, and the resend timeout after it.
type replies struct {
	Event  string   `json:"event"`
	Conv   uint32   `json:"conv"`
	Micros []int64  `json:"micros"`
	Rtos   []uint32 `json:"rtos"`
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
	report.Line(line)
}

//go:build !kcp561

package main

import (
	"interop/report"

	kcp "github.com/xtaci/kcp-go/v5"
)

// What 5.6.1 does not have.

func limitRate(s *kcp.UDPSession, bytesPerSecond uint32) {
	s.SetRateLimit(bytesPerSecond)
}

func sendOob(s *kcp.UDPSession, message []byte) error {
	return s.SendOOB(message)
}

// receiveOob puts copies of what comes in on a channel: the handler must neither block nor keep its argument.
func receiveOob(s *kcp.UDPSession, messages chan<- []byte) {
	report.Check(s.SetOOBHandler(func(message []byte) {
		select {
		case messages <- append([]byte(nil), message...):
		default:
		}
	}))
}

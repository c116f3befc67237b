//go:build kcp561

package main

import (
	"errors"

	"interop/report"

	kcp "github.com/xtaci/kcp-go/v5"
)

var errAbsent = errors.New("not in kcp-go 5.6.1")

func limitRate(*kcp.UDPSession, uint32) {
	report.Check(errAbsent)
}

func sendOob(*kcp.UDPSession, []byte) error {
	return errAbsent
}

func receiveOob(*kcp.UDPSession, chan<- []byte) {
	report.Check(errAbsent)
}

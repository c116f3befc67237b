//go:build kcp561

package main

import (
	"errors"

	kcp "github.com/xtaci/kcp-go/v5"
)

var errAbsent = errors.New("not in kcp-go 5.6.1")

func newGcm([]byte) (kcp.BlockCrypt, error) {
	return nil, errAbsent
}

func limitRate(*kcp.UDPSession, uint32) {
	check(errAbsent)
}

func sendOob(*kcp.UDPSession, []byte) error {
	return errAbsent
}

func receiveOob(*kcp.UDPSession, chan<- []byte) {
	check(errAbsent)
}

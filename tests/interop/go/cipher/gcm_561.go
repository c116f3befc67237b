//go:build kcp561

package cipher

import (
	"errors"

	kcp "github.com/xtaci/kcp-go/v5"
)

func newGcm([]byte) (kcp.BlockCrypt, error) {
	return nil, errors.New("no AES-GCM in kcp-go 5.6.1")
}

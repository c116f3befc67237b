//go:build !kcp561

package cipher

import kcp "github.com/xtaci/kcp-go/v5"

func newGcm(key []byte) (kcp.BlockCrypt, error) {
	return kcp.NewAESGCMCrypt(key)
}

// Package cipher makes the ciphers of kcp-go by the names of kcptun.
package cipher

import (
	"crypto/pbkdf2"
	"crypto/sha1"
	"fmt"

	kcp "github.com/xtaci/kcp-go/v5"
)

// ByName makes a cipher from a passphrase as kcptun does, except that an unknown name is an error.
func ByName(name, passphrase string) (kcp.BlockCrypt, error) {
	key, err := pbkdf2.Key(sha1.New, passphrase, []byte("kcp-go"), 4096, 32)
	if err != nil {
		return nil, err
	}
	switch name {
	case "null":
		return nil, nil
	case "none":
		return kcp.NewNoneBlockCrypt(key)
	case "aes":
		return kcp.NewAESBlockCrypt(key)
	case "aes-128":
		return kcp.NewAESBlockCrypt(key[:16])
	case "aes-192":
		return kcp.NewAESBlockCrypt(key[:24])
	case "aes-128-gcm":
		return newGcm(key[:16])
	case "3des":
		return kcp.NewTripleDESBlockCrypt(key[:24])
	case "blowfish":
		return kcp.NewBlowfishBlockCrypt(key)
	case "cast5":
		return kcp.NewCast5BlockCrypt(key[:16])
	case "salsa20":
		return kcp.NewSalsa20BlockCrypt(key)
	case "sm4":
		return kcp.NewSM4BlockCrypt(key[:16])
	case "tea":
		return kcp.NewTEABlockCrypt(key[:16])
	case "twofish":
		return kcp.NewTwofishBlockCrypt(key)
	case "xor":
		return kcp.NewSimpleXORBlockCrypt(key)
	case "xtea":
		return kcp.NewXTEABlockCrypt(key[:16])
	}
	return nil, fmt.Errorf("no cipher %q", name)
}

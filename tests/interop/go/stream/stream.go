// Package stream makes the pseudo-random bytes that both ends of a test can produce for themselves.
package stream

import "encoding/binary"

// Stream is SplitMix64 as an endless stream of bytes, every output word in little-endian order: the same bytes
// as Stream in src/stream.rs.
type Stream struct {
	state uint64
	rest  []byte
}

// New is the stream of a seed, from its first byte.
func New(seed uint64) *Stream {
	return &Stream{state: seed}
}

// Read fills all of b and never fails.
func (s *Stream) Read(b []byte) (int, error) {
	for n := 0; n < len(b); {
		if len(s.rest) == 0 {
			s.rest = binary.LittleEndian.AppendUint64(nil, s.next())
		}
		copied := copy(b[n:], s.rest)
		s.rest = s.rest[copied:]
		n += copied
	}
	return len(b), nil
}

func (s *Stream) next() uint64 {
	s.state += 0x9e3779b97f4a7c15
	z := s.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

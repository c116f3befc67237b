package main

import (
	"errors"
	"io"
	"math/bits"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"interop/report"

	kcp "github.com/xtaci/kcp-go/v5"
)

const (
	connectPatience = 30 * time.Second
	// Connections of isolated calls.
	lanes = 16
	// Connections that are made at a time.
	atOnce = 64
	// Most connections that are made one after the other.
	maxConnects = 2000
	// How long many connections are left alone before they are measured, at least.
	settle = 2 * time.Second
	// How long a caller stays after its work, for those who read its clocks and memory.
	lastLook = 50 * time.Millisecond
)

var errLate = errors.New("not answered in time")

type moment struct {
	Event string `json:"event"`
}

// result is what a caller counted, as in tests/bench/src/model.rs.
type result struct {
	Event      string      `json:"event"`
	Seconds    float64     `json:"seconds"`
	Cpu        float64     `json:"cpu"`
	Bytes      uint64      `json:"bytes"`
	Calls      uint64      `json:"calls"`
	Failed     uint64      `json:"failed"`
	Unfinished uint64      `json:"unfinished"`
	Latencies  [][2]uint64 `json:"latencies"`
	FirstError string      `json:"first_error,omitempty"`
}

// tally counts calls. It may be used by several goroutines.
type tally struct {
	sync.Mutex
	counts                    map[uint64]uint64
	calls, failed, unfinished uint64
	firstError                string
}

func newTally() *tally {
	return &tally{counts: map[uint64]uint64{}}
}

// bucket is that of tests/bench/src/histogram.rs: 128 for every power of two.
func bucket(nanos uint64) uint64 {
	if nanos < 128 {
		return nanos
	}
	shift := bits.Len64(nanos) - 8
	return uint64(shift+1)*128 + nanos>>shift - 128
}

// count tells whether the call was answered.
func (t *tally) count(begun time.Time, err error) bool {
	took := uint64(time.Since(begun))
	t.Lock()
	defer t.Unlock()
	switch {
	case err == nil:
		t.calls++
	case errors.Is(err, errLate) || isTimeout(err):
		t.unfinished++
	default:
		t.failed++
		if t.firstError == "" {
			t.firstError = err.Error()
		}
		return false
	}
	t.counts[bucket(took)]++
	return err == nil
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

type bench struct {
	*benchClient
	measured, warmup, drain time.Duration
	begun, until            time.Time
	cpu                     float64
}

func benchDial(o *options, block kcp.BlockCrypt) {
	peer, err := net.ResolveUDPAddr("udp", o.addr)
	report.Check(err)
	seconds := func(value float64) time.Duration { return time.Duration(value * float64(time.Second)) }
	b := &bench{
		benchClient: &benchClient{o, block, peer},
		measured:    seconds(o.seconds),
		warmup:      seconds(o.warmup),
		drain:       seconds(o.drain),
	}
	works := map[string]func() result{
		"bulk":    b.bulk,
		"echo":    b.echo,
		"unary":   b.isolated,
		"load":    func() result { return b.openLoop(false) },
		"mixed":   func() result { return b.openLoop(true) },
		"callers": b.closedLoop,
		"connect": b.connects,
		"idle":    func() result { return b.hold(0) },
		"active":  func() result { return b.hold(500 * time.Millisecond) },
		"message": func() result { return b.hold(time.Second) },
	}
	work := works[o.work]
	if work == nil {
		report.Fail("no work %q", o.work)
	}
	r := work()
	time.Sleep(lastLook)
	report.Line(r)
}

func usedCpu() float64 {
	var usage syscall.Rusage
	report.Check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

func (b *bench) begin() {
	report.Line(moment{"begin"})
	b.cpu = usedCpu()
	b.begun = time.Now()
	b.until = b.begun.Add(b.measured)
}

func (b *bench) end() result {
	report.Line(moment{"end"})
	return result{Event: "result", Seconds: time.Since(b.begun).Seconds(), Cpu: usedCpu() - b.cpu}
}

func (t *tally) into(r result) result {
	t.Lock()
	defer t.Unlock()
	r.Calls, r.Failed, r.Unfinished, r.FirstError = t.calls, t.failed, t.unfinished, t.firstError
	r.Latencies = [][2]uint64{}
	for bucket, count := range t.counts {
		r.Latencies = append(r.Latencies, [2]uint64{bucket, count})
	}
	return r
}

// receive reads until then.
func receive(s *kcp.UDPSession, until time.Time) (bytes uint64) {
	buffer := make([]byte, bulkChunk)
	report.Check(s.SetReadDeadline(until))
	for time.Now().Before(until) {
		n, err := s.Read(buffer)
		if isTimeout(err) {
			break
		}
		report.Check(err)
		bytes += uint64(n)
	}
	return bytes
}

func (b *bench) bulk() result {
	s, err := b.ask(kindBulk, 0)
	report.Check(err)
	receive(s, time.Now().Add(b.warmup))
	b.begin()
	bytes := receive(s, b.until)
	r := newTally().into(b.end())
	r.Bytes = bytes
	return r
}

func (b *bench) echo() result {
	size := b.o.number
	s, err := b.ask(kindEcho, size)
	report.Check(err)
	message, reply := make([]byte, size), make([]byte, size)
	round := func() {
		report.Check(s.SetDeadline(time.Now().Add(b.drain)))
		written := make(chan error, 1)
		go func() {
			_, err := s.Write(message)
			written <- err
		}()
		_, err := io.ReadFull(s, reply)
		report.Check(err)
		report.Check(<-written)
	}
	for warm := time.Now().Add(b.warmup); time.Now().Before(warm); {
		round()
	}
	b.begin()
	t := newTally()
	for time.Now().Before(b.until) {
		begun := time.Now()
		round()
		t.count(begun, nil)
	}
	r := t.into(b.end())
	r.Bytes = r.Calls * uint64(size)
	return r
}

// connected opens lanes, some at a time.
func (b *bench) connected(count int) []*lane {
	all := make([]*lane, count)
	turns := make(chan struct{}, atOnce)
	var wait sync.WaitGroup
	for i := range all {
		turns <- struct{}{}
		wait.Add(1)
		go func() {
			defer wait.Done()
			l, err := b.lane()
			report.Check(err)
			all[i] = l
			<-turns
		}()
	}
	wait.Wait()
	return all
}

func (b *bench) isolated() result {
	all := b.connected(lanes)
	time.Sleep(b.warmup)
	b.begin()
	t := newTally()
	var wait sync.WaitGroup
	for _, l := range all {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for {
				pause := time.Duration(2 * float64(b.o.pause) * rand.Float64())
				if !time.Now().Add(pause).Before(b.until) {
					return
				}
				time.Sleep(pause)
				begun := time.Now()
				if !t.count(begun, l.call(b.o.number, begun.Add(b.drain))) {
					return
				}
			}
		}()
	}
	time.Sleep(time.Until(b.until))
	r := b.end()
	wait.Wait()
	return t.into(r)
}

func (b *bench) openLoop(bulk bool) result {
	l := b.connected(1)[0]
	start := time.Now().Add(b.warmup)
	var s *kcp.UDPSession
	var err error
	if bulk {
		s, err = b.ask(kindBulk, 0)
		report.Check(err)
		receive(s, start)
	} else {
		time.Sleep(b.warmup)
	}
	b.begin()
	t := newTally()
	received := make(chan uint64, 1)
	go func() {
		if bulk {
			received <- receive(s, b.until)
		} else {
			received <- 0
		}
	}()
	var wait sync.WaitGroup
	ticker := time.NewTicker(time.Millisecond)
	for issued := 0; time.Now().Before(b.until); <-ticker.C {
		for due := int(time.Since(b.begun).Seconds() * float64(b.o.number)); issued < due; issued++ {
			wait.Add(1)
			go func() {
				defer wait.Done()
				begun := time.Now()
				t.count(begun, l.call(small, begun.Add(b.drain)))
			}()
		}
	}
	ticker.Stop()
	bytes := <-received
	r := b.end()
	wait.Wait()
	r = t.into(r)
	r.Bytes = bytes
	return r
}

func (b *bench) closedLoop() result {
	l := b.connected(1)[0]
	var counting, over atomic.Bool
	t := newTally()
	var wait sync.WaitGroup
	for range b.o.number {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for !over.Load() {
				counts := counting.Load()
				begun := time.Now()
				err := l.call(small, begun.Add(b.drain))
				if err != nil || counts && !over.Load() {
					t.count(begun, err)
				}
				if err != nil {
					return
				}
			}
		}()
	}
	time.Sleep(b.warmup)
	counting.Store(true)
	b.begin()
	time.Sleep(b.measured)
	over.Store(true)
	r := b.end()
	wait.Wait()
	return t.into(r)
}

func (b *bench) connects() result {
	b.connected(1)
	b.begin()
	t := newTally()
	for i := 0; i < maxConnects && time.Now().Before(b.until); i++ {
		begun := time.Now()
		l, err := b.lane()
		t.count(begun, err)
		if l != nil {
			l.s.Close()
		}
		time.Sleep(time.Millisecond)
	}
	return t.into(b.end())
}

// hold has many connections, each with a call every period, or without if that is 0.
func (b *bench) hold(period time.Duration) result {
	all := b.connected(b.o.number)
	start := time.Now().Add(max(b.warmup, settle))
	until := start.Add(b.measured)
	t := newTally()
	var wait sync.WaitGroup
	for _, l := range all {
		if period == 0 {
			break
		}
		wait.Add(1)
		go func() {
			defer wait.Done()
			next := time.Now().Add(time.Duration(float64(period) * rand.Float64()))
			for ; next.Before(until); next = next.Add(period) {
				time.Sleep(time.Until(next))
				begun := time.Now()
				err := l.call(small, begun.Add(b.drain))
				if err != nil || !begun.Before(start) {
					t.count(begun, err)
				}
				if err != nil {
					return
				}
			}
		}()
	}
	time.Sleep(time.Until(start))
	b.begin()
	time.Sleep(time.Until(b.until))
	r := b.end()
	wait.Wait()
	return t.into(r)
}

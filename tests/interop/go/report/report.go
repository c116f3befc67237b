// Package report tells a test what happens: one JSON object a line on standard output.
package report

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"sync"

	kcp "github.com/xtaci/kcp-go/v5"
)

type listening struct {
	Event string `json:"event"`
	Addr  string `json:"addr"`
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

// Line writes a line.
func Line(line any) {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	output.Lock()
	defer output.Unlock()
	os.Stdout.Write(append(text, '\n'))
}

// Listening tells where to dial to.
func Listening(addr string) {
	Line(listening{"listening", addr})
}

// Snmp tells what kcp-go has counted so far, in all sessions of the process.
func Snmp() {
	snmp := kcp.DefaultSnmp.Copy()
	line := counters{"snmp", map[string]uint64{}}
	values := snmp.ToSlice()
	for i, name := range snmp.Header() {
		value, err := strconv.ParseUint(values[i], 10, 64)
		if err == nil {
			line.Counters[name] = value
		}
	}
	Line(line)
}

// Fail ends the process, and says why.
func Fail(format string, args ...any) {
	Line(failure{"error", fmt.Sprintf(format, args...)})
	os.Exit(1)
}

// Check fails if there is an error.
func Check(err error) {
	if err != nil {
		Fail("%v", err)
	}
}

// Commands gives the lines of standard input to handle, until they end or handle returns false.
func Commands(handle func(command string) bool) {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() && handle(lines.Text()) {
	}
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"

	"interop/report"
	"interop/stream"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// kinds are the calls, done in turn; each checks all that it gets.
var kinds = []func(context.Context, *grpc.ClientConn, []byte) error{
	callEcho, callRepeat, callJoin, callConverse, callRefuse,
}

// sizes are those of the requests, in turn: from nothing to several packets.
var sizes = []int{64, 0, 1000, 300, 5000, 17, 1400}

type called struct {
	Event  string  `json:"event"`
	Calls  int     `json:"calls"`
	Micros []int64 `json:"micros"`
}

// callAll does so many calls, a number of workers at a time, and reports how long each took.
func callAll(o *options, connection *grpc.ClientConn) {
	ctx, cancel := context.WithTimeout(context.Background(), o.timeout)
	defer cancel()
	next := make(chan int)
	go func() {
		for i := range o.calls {
			next <- i
		}
		close(next)
	}()
	micros := make([]int64, o.calls)
	var workers sync.WaitGroup
	for range o.workers {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for i := range next {
				request := make([]byte, sizes[i%len(sizes)])
				stream.New(o.seed + uint64(i)).Read(request)
				start := time.Now()
				if err := kinds[i%len(kinds)](ctx, connection, request); err != nil {
					report.Fail("call %d: %v", i, err)
				}
				micros[i] = time.Since(start).Microseconds()
			}
		}()
	}
	workers.Wait()
	slices.Sort(micros)
	report.Line(called{"called", o.calls, micros})
}

func same(got, wanted []byte) error {
	if !bytes.Equal(got, wanted) {
		return fmt.Errorf("%d bytes that differ from the %d expected", len(got), len(wanted))
	}
	return nil
}

func callEcho(ctx context.Context, connection *grpc.ClientConn, request []byte) error {
	var reply []byte
	var header metadata.MD
	mark := strconv.Itoa(len(request))
	ctx = metadata.AppendToOutgoingContext(ctx, trace, mark)
	if err := connection.Invoke(ctx, "/interop.Bytes/Echo", &request, &reply, grpc.Header(&header)); err != nil {
		return err
	}
	if !slices.Equal(header.Get(trace), []string{mark}) {
		return fmt.Errorf("the metadata %v came back as %v", mark, header)
	}
	return same(reply, request)
}

func callRefuse(ctx context.Context, connection *grpc.ClientConn, request []byte) error {
	var reply []byte
	err := connection.Invoke(ctx, "/interop.Bytes/Refuse", &request, &reply)
	refused, _ := status.FromError(err)
	if refused.Code() != codes.FailedPrecondition || refused.Message() != refusal(request) {
		return fmt.Errorf("not refused as it should: %v", err)
	}
	return nil
}

func callRepeat(ctx context.Context, connection *grpc.ClientConn, request []byte) error {
	call, err := connection.NewStream(ctx, &service.Streams[0], "/interop.Bytes/Repeat")
	if err != nil {
		return err
	}
	if err := call.SendMsg(&request); err != nil {
		return err
	}
	if err := call.CloseSend(); err != nil {
		return err
	}
	for i := range repetitions(request) {
		var reply []byte
		if err := call.RecvMsg(&reply); err != nil {
			return err
		}
		if err := same(reply, repetition(request, i)); err != nil {
			return err
		}
	}
	return atEnd(call)
}

func callJoin(ctx context.Context, connection *grpc.ClientConn, request []byte) error {
	call, err := connection.NewStream(ctx, &service.Streams[1], "/interop.Bytes/Join")
	if err != nil {
		return err
	}
	for part := range slices.Chunk(request, 500) {
		if err := call.SendMsg(&part); err != nil {
			return err
		}
	}
	if err := call.CloseSend(); err != nil {
		return err
	}
	var reply []byte
	if err := call.RecvMsg(&reply); err != nil {
		return err
	}
	if err := same(reply, request); err != nil {
		return err
	}
	return atEnd(call)
}

func callConverse(ctx context.Context, connection *grpc.ClientConn, request []byte) error {
	call, err := connection.NewStream(ctx, &service.Streams[2], "/interop.Bytes/Converse")
	if err != nil {
		return err
	}
	for part := range slices.Chunk(request, 500) {
		if err := call.SendMsg(&part); err != nil {
			return err
		}
		var reply []byte
		if err := call.RecvMsg(&reply); err != nil {
			return err
		}
		if err := same(reply, part); err != nil {
			return err
		}
	}
	if err := call.CloseSend(); err != nil {
		return err
	}
	return atEnd(call)
}

func atEnd(call grpc.ClientStream) error {
	var more []byte
	if err := call.RecvMsg(&more); !errors.Is(err, io.EOF) {
		return fmt.Errorf("no end: %v", err)
	}
	return nil
}

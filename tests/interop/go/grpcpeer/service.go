package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// The service interop.Bytes, whose messages are bytes and nothing else: the same as in tests/peers/grpc/service.rs.
var service = grpc.ServiceDesc{
	ServiceName: "interop.Bytes",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{
		{MethodName: "Echo", Handler: echo},
		{MethodName: "Refuse", Handler: refuse},
	},
	Streams: []grpc.StreamDesc{
		{StreamName: "Repeat", Handler: repeat, ServerStreams: true},
		{StreamName: "Join", Handler: join, ClientStreams: true},
		{StreamName: "Converse", Handler: converse, ServerStreams: true, ClientStreams: true},
	},
}

// trace is metadata that Echo returns as it came.
const trace = "x-trace"

// Echo returns its request.
func echo(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	var request []byte
	if err := decode(&request); err != nil {
		return nil, err
	}
	if incoming, found := metadata.FromIncomingContext(ctx); found {
		if err := grpc.SetHeader(ctx, metadata.MD{trace: incoming.Get(trace)}); err != nil {
			return nil, err
		}
	}
	return &request, nil
}

// Refuse fails, and says how long its request was.
func refuse(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	var request []byte
	if err := decode(&request); err != nil {
		return nil, err
	}
	return nil, status.Error(codes.FailedPrecondition, refusal(request))
}

func refusal(request []byte) string {
	return fmt.Sprintf("%d bytes refused", len(request))
}

// Repeat answers its request with so many copies as its first byte says, each behind its number.
func repeat(_ any, stream grpc.ServerStream) error {
	var request []byte
	if err := stream.RecvMsg(&request); err != nil {
		return err
	}
	for i := range repetitions(request) {
		reply := repetition(request, i)
		if err := stream.SendMsg(&reply); err != nil {
			return err
		}
	}
	return nil
}

func repetitions(request []byte) int {
	if len(request) == 0 {
		return 0
	}
	return int(request[0] % 8)
}

func repetition(request []byte, i int) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, uint32(i)), request...)
}

// Join returns all requests, one behind the other.
func join(_ any, stream grpc.ServerStream) error {
	var joined bytes.Buffer
	for {
		var request []byte
		switch err := stream.RecvMsg(&request); {
		case errors.Is(err, io.EOF):
			reply := joined.Bytes()
			return stream.SendMsg(&reply)
		case err != nil:
			return err
		}
		joined.Write(request)
	}
}

// Converse returns every request at once.
func converse(_ any, stream grpc.ServerStream) error {
	for {
		var request []byte
		switch err := stream.RecvMsg(&request); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := stream.SendMsg(&request); err != nil {
			return err
		}
	}
}

// raw leaves messages as they are, which needs no generated code.
type raw struct{}

func (raw) Name() string {
	return "raw"
}

func (raw) Marshal(message any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*message.(*[]byte))}, nil
}

func (raw) Unmarshal(data mem.BufferSlice, message any) error {
	*message.(*[]byte) = data.Materialize()
	return nil
}

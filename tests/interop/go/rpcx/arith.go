package main

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/smallnest/rpcx/share"
	"google.golang.org/protobuf/encoding/protowire"
)

// Operands, Number and Text are what calls carry, in every encoding of rpcx that is used here. Marshal and Unmarshal
// are what generated code would do for protocol buffers of these fields, numbered in this order.
type (
	Operands struct{ A, B int64 }
	Number   struct{ C int64 }
	Text     struct{ Text string }
)

// Arith is the service: the same as in tests/peers/rpcx.rs.
type Arith struct {
	noted atomic.Int64
}

// Mul multiplies.
func (*Arith) Mul(_ context.Context, operands *Operands, product *Number) error {
	product.C = operands.A * operands.B
	return nil
}

// Div divides, unless by zero.
func (*Arith) Div(_ context.Context, operands *Operands, quotient *Number) error {
	if operands.B == 0 {
		return errDivision
	}
	quotient.C = operands.A / operands.B
	return nil
}

var errDivision = errors.New("division by zero")

// Trace returns the metadata of this name.
func (*Arith) Trace(ctx context.Context, name *Text, value *Text) error {
	metadata, _ := ctx.Value(share.ReqMetaDataKey).(map[string]string)
	value.Text = metadata[name.Text]
	return nil
}

// Note adds to what Noted returns.
func (a *Arith) Note(_ context.Context, operands *Operands, _ *Number) error {
	a.noted.Add(operands.A)
	return nil
}

// Noted returns the sum of all that was noted.
func (a *Arith) Noted(_ context.Context, _ *Operands, sum *Number) error {
	sum.C = a.noted.Load()
	return nil
}

func (o *Operands) Marshal() ([]byte, error) {
	return appendNumber(appendNumber(nil, 1, o.A), 2, o.B), nil
}

func (o *Operands) Unmarshal(data []byte) error {
	return readNumbers(data, &o.A, &o.B)
}

func (n *Number) Marshal() ([]byte, error) {
	return appendNumber(nil, 1, n.C), nil
}

func (n *Number) Unmarshal(data []byte) error {
	return readNumbers(data, &n.C)
}

func appendNumber(data []byte, field protowire.Number, value int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(data, field, protowire.VarintType), uint64(value))
}

func readNumbers(data []byte, fields ...*int64) error {
	for _, field := range fields {
		*field = 0
	}
	for len(data) > 0 {
		number, kind, tag := protowire.ConsumeTag(data)
		if tag < 0 || kind != protowire.VarintType || int(number) > len(fields) {
			return errors.New("not the message that was expected")
		}
		value, length := protowire.ConsumeVarint(data[tag:])
		if length < 0 {
			return protowire.ParseError(length)
		}
		*fields[number-1] = int64(value)
		data = data[tag+length:]
	}
	return nil
}

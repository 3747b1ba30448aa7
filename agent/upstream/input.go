package upstream

import (
	"bytes"
	"io"
)

// input is the bytes an instance has sent and nobody has consumed yet:
// buf[r:w]. A slice of it is valid until the next call of more.
type input struct {
	src  io.Reader
	wait func() error // when not nil, called before each read of src
	buf  []byte
	r, w int
}

func (in *input) buffered() []byte { return in.buf[in.r:in.w] }

// more reads at least one byte, after making room for it.
func (in *input) more() error {
	if in.wait != nil {
		if err := in.wait(); err != nil {
			return err
		}
	}
	switch {
	case in.r == in.w:
		in.r, in.w = 0, 0
	case in.w == len(in.buf) && in.r > 0:
		in.w = copy(in.buf, in.buf[in.r:in.w])
		in.r = 0
	case in.w == len(in.buf):
		in.buf = append(in.buf, make([]byte, len(in.buf))...)
	}
	return in.read(in.buf[in.w:])
}

func (in *input) read(room []byte) error {
	for range 100 {
		n, err := in.src.Read(room)
		in.w += n
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// line consumes one line of at most limit bytes and gives it without its CRLF.
func (in *input) line(limit int) ([]byte, error) {
	for seen := 0; ; {
		rest := in.buffered()
		if i := bytes.IndexByte(rest[seen:], '\n'); i >= 0 {
			return in.takeLine(seen+i, limit)
		}
		if seen = len(rest); seen > limit {
			return nil, violation("line too long")
		}
		if err := in.more(); err != nil {
			return nil, cut(err)
		}
	}
}

func (in *input) takeLine(lf, limit int) ([]byte, error) {
	line := in.buf[in.r : in.r+lf]
	if lf > limit {
		return nil, violation("line too long")
	}
	if lf == 0 || line[lf-1] != '\r' {
		return nil, violation("line ends with a bare LF")
	}
	in.r += lf + 1
	return line[:lf-1], nil
}

// section consumes lines up to and with an empty one, of at most limit bytes in
// all, and gives them with their line ends but without the empty line.
func (in *input) section(limit int) ([]byte, error) {
	for start, seen := 0, 0; ; {
		rest := in.buffered()
		i := bytes.IndexByte(rest[seen:], '\n')
		if i < 0 {
			if seen = len(rest); seen > limit {
				return nil, violation("header section larger than the limit")
			}
			if err := in.more(); err != nil {
				return nil, err
			}
			continue
		}
		lf := seen + i
		if lf > limit {
			return nil, violation("header section larger than the limit")
		}
		if lf == start || rest[lf-1] != '\r' {
			return nil, violation("line ends with a bare LF")
		}
		if lf == start+1 {
			in.r += lf + 1
			return rest[:start], nil
		}
		start, seen = lf+1, lf+1
	}
}

// cut turns the end of a stream inside an element into an unexpected one.
func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

package upstream

import "net/http"

const (
	maxChunkLine      = 1 << 10 // bytes of one chunk-size line with its extensions
	maxExtensionDebt  = 8 << 10 // bytes by which extensions may outweigh data
	maxChunkSizeDigit = 15      // hexadecimal digits, so that a size fits in int64
)

// chunks decodes the chunked coding (RFC 9112 section 7.1).
type chunks struct {
	in         *input
	left       int64 // data bytes of the current chunk not yet consumed
	inside     bool  // the CRLF after the current chunk's data is still to come
	done       bool
	debt       int64
	maxTrailer int
	trailer    http.Header
}

// next makes data available in c.in.buffered(), as much as is there of the
// current chunk, and returns its length; 0 with nil: the body has ended.
func (c *chunks) next() (int, error) {
	for c.left == 0 && !c.done {
		if err := c.boundary(); err != nil {
			return 0, err
		}
	}
	if c.done {
		return 0, nil
	}
	if c.in.r == c.in.w {
		if err := c.in.more(); err != nil {
			return 0, cut(err)
		}
	}
	return int(min(c.left, int64(c.in.w-c.in.r))), nil
}

// consume takes n data bytes off the input.
func (c *chunks) consume(n int) {
	c.in.r += n
	c.left -= int64(n)
}

func (c *chunks) boundary() error {
	if c.inside {
		line, err := c.in.line(2)
		if err != nil {
			return err
		}
		if len(line) != 0 {
			return violation("chunk longer than its size")
		}
		c.inside = false
	}
	line, err := c.in.line(maxChunkLine)
	if err != nil {
		return err
	}
	size, extension, err := parseChunkSize(line)
	if err != nil {
		return err
	}
	if c.debt = max(0, c.debt+int64(extension)-size); c.debt > maxExtensionDebt {
		return violation("chunk extensions outweigh the data")
	}
	if size == 0 {
		return c.end()
	}
	c.left, c.inside = size, true
	return nil
}

func (c *chunks) end() error {
	block, err := c.in.section(c.maxTrailer)
	if err != nil {
		return cut(err)
	}
	c.done = true
	if len(block) == 0 {
		return nil
	}
	c.trailer, err = parseFields(string(block))
	for key := range c.trailer {
		if !trailerAllowed(key) {
			delete(c.trailer, key)
		}
	}
	return err
}

// parseChunkSize gives the size and the length of the extensions after it.
func parseChunkSize(line []byte) (size int64, extension int, err error) {
	digits := 0
	for digits < len(line) {
		v, ok := unhex(line[digits])
		if !ok {
			break
		}
		size = size<<4 | int64(v)
		if digits++; digits > maxChunkSizeDigit {
			return 0, 0, violation("chunk size too large")
		}
	}
	if digits == 0 {
		return 0, 0, violation("malformed chunk size")
	}
	return size, len(line) - digits, checkExtension(line[digits:])
}

func checkExtension(ext []byte) error {
	begun := len(ext) == 0
	for _, b := range ext {
		switch {
		case b == ';':
			begun = true
		case b == ' ' || b == '\t':
		case !begun || b < ' ' || b == 0x7f:
			return violation("malformed chunk extension")
		}
	}
	if !begun {
		return violation("malformed chunk extension")
	}
	return nil
}

func unhex(b byte) (byte, bool) {
	switch {
	case '0' <= b && b <= '9':
		return b - '0', true
	case 'a' <= b && b <= 'f':
		return b - 'a' + 10, true
	case 'A' <= b && b <= 'F':
		return b - 'A' + 10, true
	}
	return 0, false
}

package config

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"
)

var (
	durationType = reflect.TypeFor[time.Duration]()
	sizeType     = reflect.TypeFor[Size]()
)

// kindOf names the type as a person would.
func kindOf(t reflect.Type) string {
	switch {
	case t == durationType:
		return `a duration in quotes, such as "30s"`
	case t == sizeType:
		return `a size in quotes, such as "16KiB"`
	case t.Kind() == reflect.Slice:
		return `a list of texts, such as ["a", "b"]`
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Int:
		return "a whole number"
	case t.Kind() == reflect.Float64:
		return "a number"
	}
	return "a text in quotes"
}

// textsOf turns a value of a file into texts, one unless t is a list. A value
// of another type is an error: nothing is converted silently.
func textsOf(value cty.Value, t reflect.Type) ([]string, error) {
	wrong := errors.New("must be " + kindOf(t))
	if !value.IsKnown() || value.IsNull() {
		return nil, wrong
	}
	if t.Kind() != reflect.Slice {
		text, ok := textOf(value, t)
		if !ok {
			return nil, wrong
		}
		return []string{text}, nil
	}
	if !value.CanIterateElements() || value.Type().IsObjectType() || value.Type().IsMapType() {
		return nil, wrong
	}
	var texts []string
	for _, element := range value.Elements() {
		text, ok := textOf(element, t.Elem())
		if !ok {
			return nil, wrong
		}
		texts = append(texts, text)
	}
	return texts, nil
}

func textOf(value cty.Value, t reflect.Type) (string, bool) {
	if value.IsNull() || !value.IsKnown() {
		return "", false
	}
	number := t.Kind() == reflect.Int || t.Kind() == reflect.Float64
	switch {
	case t.Kind() == reflect.Bool && value.Type() == cty.Bool:
		return strconv.FormatBool(value.True()), true
	case number && value.Type() == cty.Number:
		return value.AsBigFloat().Text('g', -1), true
	case t.Kind() == reflect.Bool || number || value.Type() != cty.String:
		return "", false
	}
	return value.AsString(), true
}

// assign sets a field from texts; dir is where relative paths begin.
func assign(f field, texts []string, dir string) error {
	if f.value.Kind() == reflect.Slice {
		list := reflect.MakeSlice(f.value.Type(), len(texts), len(texts))
		for i, text := range texts {
			list.Index(i).SetString(text)
		}
		f.value.Set(list)
		return nil
	}
	if f.path {
		texts[0] = absolute(dir, texts[0])
	}
	return parseInto(f.value, texts[0])
}

func parseInto(v reflect.Value, text string) error {
	var err error
	switch {
	case v.Type() == durationType:
		var d time.Duration
		d, err = time.ParseDuration(text)
		v.SetInt(int64(d))
	case v.Type() == sizeType:
		var s Size
		s, err = ParseSize(text)
		v.SetInt(int64(s))
	case v.Kind() == reflect.Bool:
		var b bool
		b, err = strconv.ParseBool(text)
		v.SetBool(b)
	case v.Kind() == reflect.Int:
		return parseInt(v, text)
	case v.Kind() == reflect.Float64:
		var n float64
		n, err = strconv.ParseFloat(text, 64)
		if math.IsNaN(n) {
			err = ErrInvalid
		}
		v.SetFloat(n)
	default:
		v.SetString(text)
	}
	if err != nil {
		return fmt.Errorf("%q must be %s", text, kindOf(v.Type()))
	}
	return nil
}

// parseInt takes whole numbers in any notation that HCL has: 1000, 1e3.
func parseInt(v reflect.Value, text string) error {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || n != math.Trunc(n) || math.Abs(n) > 1<<52 {
		return fmt.Errorf("%q must be %s", text, kindOf(v.Type()))
	}
	v.SetInt(int64(n))
	return nil
}

// splitList reads a list outside of files: separated by commas.
func splitList(text string) []string {
	var out []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

package agent

import (
	"encoding/json"
	"errors"
	"mime"
	"strings"
)

// resultsMost is how much of the answer to a batch is read, in bytes.
const resultsMost = 1 << 20

// errResults: what a service said of the messages of a batch cannot be understood,
// so that none of them counts as accepted.
var errResults = errors.New("the results of a batch cannot be read")

// eventName is what an event is known by (CloudEvents 1.0, section 3.1.1: source
// and id).
type eventName struct {
	ID     string `json:"id"`
	Source string `json:"source"`
}

// resultsOf reads what a service says of single events:
// {"results":[{"id":"…","source":"…","status":422}]}, by place in the batch. Of
// those that it does not name the answer as a whole holds, and of all of them when
// it is something else than that.
func resultsOf(text []byte, names []eventName) (map[int]int, error) {
	if len(text) > resultsMost {
		return nil, errResults
	}
	var answer struct {
		Results json.RawMessage `json:"results"`
	}
	if json.Unmarshal(text, &answer) != nil || answer.Results == nil {
		return nil, nil
	}
	var results []struct {
		eventName
		Status int `json:"status"`
	}
	if err := json.Unmarshal(answer.Results, &results); err != nil {
		return nil, errors.Join(errResults, err)
	}
	places := make(map[string][]int, len(names))
	for i, name := range names {
		places[name.ID] = append(places[name.ID], i)
	}
	each := make(map[int]int, len(results))
	for _, r := range results {
		for _, i := range places[r.ID] {
			if r.Source == "" || r.Source == names[i].Source {
				each[i] = r.Status
			}
		}
	}
	return each, nil
}

// jsonType says that a content type is JSON or one of its kind.
func jsonType(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == "application/json" || strings.HasSuffix(media, "+json"))
}

package gossip

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

const claimRegion protowire.Number = 4

// claimFrame is a verdict or an opinion: the regions a gateway holds down, or
// silent.
type claimFrame struct {
	origin
	Regions []string
}

func (c *claimFrame) encode() []byte {
	b := c.origin.encode(nil)
	for _, region := range c.Regions {
		b = appendText(b, claimRegion, region)
	}
	return b
}

func decodeClaim(payload []byte) (*claimFrame, error) {
	var c claimFrame
	err := eachField(payload, func(f field) error {
		if !f.is(claimRegion, protowire.BytesType) {
			return c.take(f)
		}
		if len(c.Regions) >= MaxRegions {
			return fmt.Errorf("%w: more than %d regions", ErrFrame, MaxRegions)
		}
		region, err := f.name("region", MaxRegionName)
		c.Regions = append(c.Regions, region)
		return err
	})
	if err == nil {
		err = c.check()
	}
	if err != nil {
		return nil, fmt.Errorf("claim: %w", err)
	}
	c.Regions = tidyRegions(c.Regions)
	return &c, nil
}

// tidyRegions sorts, removes doubles and names no frame could carry, and cuts
// at MaxRegions.
func tidyRegions(regions []string) []string {
	tidy := make([]string, 0, len(regions))
	for _, r := range regions {
		if checkName("region", r, MaxRegionName) == nil {
			tidy = append(tidy, r)
		}
	}
	slices.Sort(tidy)
	tidy = slices.Compact(tidy)
	return tidy[:min(len(tidy), MaxRegions)]
}

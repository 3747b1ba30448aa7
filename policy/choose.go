package policy

// Pool is the set of local instances of one target.
type Pool struct{}

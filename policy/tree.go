package policy

type routeIndex struct{}
type pathPattern struct{}
type condition struct{}
type rewrite struct{}

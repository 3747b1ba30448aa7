package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
)

// celVariables is what a `when` may speak of; fixes quote it.
const celVariables = "a when knows request.method, request.host, request.path, request.query, " +
	"request.headers, device, captures and payload"

const (
	celRecursion   = 100
	celRegexpSize  = 2000
	celMaxProblems = 5
)

// condition is a compiled `when`.
type condition struct {
	program cel.Program
	payload int // bytes of the body it may read; 0: it reads none
}

// newConditionEnv declares the variables. Qualified names ("request.method")
// make a misspelt one an error of the type check.
func newConditionEnv() (*cel.Env, error) {
	texts := cel.MapType(cel.StringType, cel.StringType)
	return cel.NewEnv(
		cel.Variable("request.method", cel.StringType),
		cel.Variable("request.host", cel.StringType),
		cel.Variable("request.path", cel.StringType),
		cel.Variable("request.query", cel.StringType),
		cel.Variable("request.headers", texts),
		cel.Variable("device", texts),
		cel.Variable("captures", texts),
		cel.Variable("payload", cel.DynType),
		cel.ParserExpressionSizeLimit(MaxWhen),
		cel.ParserRecursionLimit(celRecursion),
		cel.RegexProgramSizeLimit(celRegexpSize),
	)
}

// conditionProblem is one thing wrong in a `when`; line and column count from 1
// in the text of the expression, 0 where the place is unknown.
type conditionProblem struct {
	line, column int
	problem, fix string
}

// compileCondition type-checks and plans an expression for a route whose path
// has the given captures. limited tells that the route gives a payload_limit,
// of payload bytes.
func compileCondition(env *cel.Env, src string, pattern pathPattern, limited bool, payload int) (*condition, []conditionProblem) {
	ast, issues := env.Compile(src)
	if issues.Err() != nil {
		return nil, issueProblems(issues)
	}
	problems := checkNames(ast, pattern, limited)
	if ast.OutputType() != cel.BoolType {
		problems = append(problems, conditionProblem{
			problem: fmt.Sprintf("the expression is of type %s, not bool", ast.OutputType()),
			fix:     "compare it with something, such as payload.alarm == true",
		})
	}
	if len(problems) > 0 {
		return nil, problems
	}
	program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(CostLimit))
	if err != nil {
		return nil, []conditionProblem{{problem: err.Error()}}
	}
	return &condition{program, payload}, nil
}

func issueProblems(issues *cel.Issues) []conditionProblem {
	var problems []conditionProblem
	for _, e := range issues.Errors() {
		if len(problems) == celMaxProblems {
			break
		}
		p := conditionProblem{line: e.Location.Line(), column: e.Location.Column() + 1, problem: e.Message}
		p.fix = conditionFix(e.Message)
		problems = append(problems, p)
	}
	return problems
}

func conditionFix(message string) string {
	switch {
	case strings.Contains(message, "undeclared reference"):
		return celVariables
	case strings.Contains(message, "no matching overload"):
		return "both sides must be of one type: device, captures and headers hold strings"
	}
	return "write CEL, such as device.tenant == 'a' && request.path.startsWith('/v1/')"
}

// nameCheck looks for names that type-check but can never be there.
type nameCheck struct {
	info     *celast.SourceInfo
	pattern  pathPattern
	payload  bool // the route has a payload_limit
	reported bool
	problems []conditionProblem
}

func checkNames(ast *cel.Ast, pattern pathPattern, payload bool) []conditionProblem {
	c := &nameCheck{info: ast.NativeRep().SourceInfo(), pattern: pattern, payload: payload}
	celast.PreOrderVisit(ast.NativeRep().Expr(), celast.NewExprVisitor(c.visit))
	return c.problems
}

func (c *nameCheck) visit(e celast.Expr) {
	switch e.Kind() {
	case celast.IdentKind:
		if e.AsIdent() == "payload" && !c.payload && !c.reported {
			c.reported = true
			c.fail(e, `the match block of a route has it, with payload_limit = "16KiB"`, "payload is used without payload_limit")
		}
	case celast.SelectKind:
		c.key(e, e.AsSelect().Operand(), e.AsSelect().FieldName())
	case celast.CallKind:
		c.call(e, e.AsCall())
	}
}

func (c *nameCheck) call(e celast.Expr, call celast.CallExpr) {
	args := call.Args()
	if len(args) == 0 {
		return
	}
	last := args[len(args)-1]
	switch call.FunctionName() {
	case operators.Index:
		if last.Kind() == celast.LiteralKind {
			if key, ok := last.AsLiteral().(types.String); ok {
				c.key(e, args[0], string(key))
			}
		}
	case overloads.Matches:
		if last.Kind() != celast.LiteralKind {
			c.fail(e, "write it out: request.path.matches('^/v[12]/')", "a regular expression must not come from the message")
		}
	}
}

func (c *nameCheck) key(at, operand celast.Expr, key string) {
	if operand.Kind() != celast.IdentKind {
		return
	}
	switch operand.AsIdent() {
	case "captures":
		if c.pattern.captureIndex(key) < 0 {
			c.fail(at, "captures are named in the route's path: "+orAny(strings.Join(c.pattern.captures(), ", ")),
				"%q is not a capture of the path", key)
		}
	case "request.headers":
		if key != strings.ToLower(key) {
			c.fail(at, fmt.Sprintf("write %q", strings.ToLower(key)), "names of headers are in lower case here, %q is not", key)
		}
	}
}

func (c *nameCheck) fail(at celast.Expr, fix, problem string, args ...any) {
	start := c.info.GetStartLocation(at.ID())
	c.problems = append(c.problems, conditionProblem{
		line: start.Line(), column: start.Column() + 1, problem: fmt.Sprintf(problem, args...), fix: fix,
	})
}

// payloadCache holds the decoded body across the conditions of one decision.
type payloadCache struct {
	read  bool
	value any
	err   error
}

var (
	errNoPayload  = errors.New("the payload is absent or larger than payload_limit")
	errNotBoolean = errors.New("the result is not a boolean")
)

func (c *payloadCache) get(body []byte, limit int) (any, error) {
	if body == nil || len(body) > limit {
		return nil, errNoPayload
	}
	if !c.read {
		c.read = true
		c.value, c.err = decodePayload(body)
	}
	return c.value, c.err
}

// decodePayload keeps the value it decodes into apart from the cache, which can
// so stay on the stack.
func decodePayload(body []byte) (any, error) {
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return nil, fmt.Errorf("the payload is not JSON: %w", err)
	}
	return value, nil
}

// holds evaluates the condition. An error means that it does not hold.
func (c *condition) holds(m *Message, pattern pathPattern, cache *payloadCache) (bool, error) {
	vars := &conditionVars{m: *m, pattern: pattern}
	if c.payload > 0 {
		value, err := cache.get(m.Payload, c.payload)
		if err != nil {
			return false, err
		}
		vars.payload = value
	}
	result, _, err := c.program.Eval(vars)
	if err != nil {
		return false, err
	}
	truth, ok := result.(types.Bool)
	if !ok {
		return false, errNotBoolean
	}
	return bool(truth), nil
}

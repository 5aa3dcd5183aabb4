package tokeninject

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/ext"
	"cel.dev/cel-go/interpreter"
)

// maxExpressionCost bounds the work of one expression, in CEL's own units.
const maxExpressionCost = 10_000

// The variables of an expression that an identity alone does not give, and those that a request alone does not.
var (
	ofRequest  = []string{"username", "user", "method", "path", "host", "remote_ip"}
	ofIdentity = []string{"username", "user", "subject", "client", "issuer", "contract", "scopes", "roles", "claims"}
)

// expressionEnv declares what an expression may name.
var expressionEnv = sync.OnceValues(func() (*cel.Env, error) {
	texts, anything := cel.ListType(cel.StringType), cel.MapType(cel.StringType, cel.DynType)
	return cel.NewEnv(
		ext.Strings(),
		cel.Variable("subject", cel.StringType),
		cel.Variable("client", cel.StringType),
		cel.Variable("issuer", cel.StringType),
		cel.Variable("contract", cel.StringType),
		cel.Variable("scopes", texts),
		cel.Variable("roles", texts),
		cel.Variable("claims", anything),
		cel.Variable("username", cel.StringType),
		cel.Variable("user", anything),
		cel.Variable("method", cel.StringType),
		cel.Variable("path", cel.StringType),
		cel.Variable("host", cel.StringType),
		cel.Variable("remote_ip", cel.StringType),
	)
})

// expression is a compiled CEL expression that gives a bool.
type expression struct {
	program cel.Program
	names   map[string]bool // the variables that it uses
}

func newExpression(text string) (*expression, error) {
	env, err := expressionEnv()
	if err != nil {
		return nil, err
	}
	ast, issues := env.Compile(text)
	if issues.Err() != nil {
		first := issues.Errors()[0] // its own text draws a picture of several lines
		return nil, fmt.Errorf("expression: at character %d: %s", first.Location.Column()+1, first.Message)
	}
	if ast.OutputType() != cel.BoolType {
		return nil, fmt.Errorf("expression: it gives %s, and not true or false", ast.OutputType())
	}
	program, err := env.Program(ast, cel.CostLimit(maxExpressionCost), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, fmt.Errorf("expression: %w", err)
	}
	e := &expression{program: program, names: map[string]bool{}}
	for _, reference := range ast.NativeRep().ReferenceMap() {
		e.names[reference.Name] = true
	}
	return e, nil
}

// asks tells whether it uses one of some variables.
func (e *expression) asks(variables []string) bool {
	return slices.ContainsFunc(variables, func(name string) bool { return e.names[name] })
}

func (e *expression) holds(f facts) (bool, error) {
	out, _, err := e.program.Eval(&activation{f})
	if err != nil {
		return false, err
	}
	holds, ok := out.Value().(bool)
	if !ok {
		return false, errors.New("the expression gave no bool")
	}
	return holds, nil
}

// activation computes a variable when an expression asks for it.
type activation struct{ facts }

// Parent implements interpreter.Activation.
func (a *activation) Parent() interpreter.Activation { return nil }

// ResolveName implements interpreter.Activation. A variable whose value can't be had is unknown, which
// makes the evaluation an error.
func (a *activation) ResolveName(name string) (any, bool) {
	id := a.id
	switch name {
	case "subject":
		return id.Subject, true
	case "client":
		return id.ClientID, true
	case "issuer":
		return id.Issuer(), true
	case "contract":
		acr, _ := id.Login()
		return acr, true
	case "scopes":
		return strings.Fields(id.Scope), true
	case "roles":
		return id.Roles(), true
	case "claims":
		return id.allClaims(), true
	}
	if a.p == nil {
		return nil, false
	}
	switch name {
	case "username":
		username, err := id.LoginName(a.p.r.Context())
		return username, err == nil || errors.Is(err, ErrNobody)
	case "user":
		return a.user()
	case "method":
		return strings.ToUpper(forwardedMethod(a.p.r)), true // upstreams differ on whether "get" is GET
	case "path":
		return a.p.path, true
	case "host":
		return plainHost(a.p.r.Host), true
	case "remote_ip":
		address := a.p.clientAddress()
		return address.String(), address.IsValid()
	}
	return nil, false
}

// plainHost is a host in one spelling: without a port, a last dot and capital letters.
func plainHost(host string) string {
	return strings.ToLower(strings.TrimSuffix(withoutPort(host), "."))
}

// user is what an attribute_set's derived attributes know as user: one value is a string, several are a
// list, and values has every attribute as a list.
func (a *activation) user() (any, bool) {
	person, err := a.id.person(a.p.r.Context())
	if err != nil {
		return nil, false
	}
	user := make(map[string]any, len(person.Attributes)+4)
	for name, values := range person.Attributes {
		if len(values) == 1 {
			user[name] = values[0]
		} else {
			user[name] = values
		}
	}
	user["username"], user["subject"], user["roles"], user["values"] = person.Username, a.id.Subject, a.id.Roles(), person.Attributes
	return user, true
}

// allClaims decodes every claim; numbers without a fraction are integers, as CEL has them.
func (id *Identity) allClaims() map[string]any {
	claims := map[string]any{}
	raw := id.claims
	if id.session != nil {
		raw = string(id.session.Claims)
	}
	decoder := json.NewDecoder(strings.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(&claims); err != nil {
		return map[string]any{} // it was valid when it was accepted; nothing fits what can't be read
	}
	for name, value := range claims {
		claims[name] = plainNumbers(value)
	}
	return claims
}

func plainNumbers(value any) any {
	switch v := value.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64() // an overflow is an infinity
		return f
	case []any:
		for i := range v {
			v[i] = plainNumbers(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = plainNumbers(v[name])
		}
	}
	return value
}

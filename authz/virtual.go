package authz

import (
	"fmt"
	"reflect"

	"cel.dev/cel-go/cel"
	"go.uber.org/zap"

	"github.com/gatewright/gatewright/authz/users"
)

// maxVirtualCost bounds the work of one expression, in CEL's own units.
const maxVirtualCost = 10_000

// compileVirtual prepares a derived attribute (S2): a CEL expression over user, a map of the
// attributes (one value a string, several a list), of username, subject and roles, and of values, where
// every attribute is a list. An expression that fails for a person gives no claim.
func compileVirtual(expression string, log *zap.Logger) (func(*users.User) (any, bool), error) {
	env, err := cel.NewEnv(cel.Variable("user", cel.MapType(cel.StringType, cel.DynType)))
	if err != nil {
		return nil, err
	}
	ast, issues := env.Compile(expression)
	if issues.Err() != nil {
		return nil, fmt.Errorf("CEL: %w", issues.Err())
	}
	program, err := env.Program(ast, cel.CostLimit(maxVirtualCost))
	if err != nil {
		return nil, fmt.Errorf("CEL: %w", err)
	}
	return func(u *users.User) (any, bool) {
		out, _, err := program.Eval(map[string]any{"user": celUser(u)})
		if err != nil {
			log.Info("virtual attribute has no value", zap.String("expression", expression), zap.Error(err))
			return nil, false
		}
		value, err := out.ConvertToNative(jsonType)
		if err != nil {
			log.Info("virtual attribute is no JSON", zap.String("expression", expression), zap.Error(err))
			return nil, false
		}
		return value, true
	}, nil
}

var jsonType = reflect.TypeFor[any]()

func celUser(u *users.User) map[string]any {
	m := make(map[string]any, len(u.Attributes)+4)
	for name, values := range u.Attributes {
		if len(values) == 1 {
			m[name] = values[0]
		} else {
			m[name] = values
		}
	}
	m["username"], m["subject"], m["roles"], m["values"] = u.Username, u.Subject, u.Roles, u.Attributes
	return m
}

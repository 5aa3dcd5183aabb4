package users

import (
	"context"
	"sync"
)

// Together returns a context for one answer that takes several questions about a person. What a store has read for
// one of them it may Leave there, and Take for the next instead of reading it again.
func Together(ctx context.Context) context.Context {
	return context.WithValue(ctx, togetherKey{}, new(sync.Map))
}

type togetherKey struct{}

// Leave keeps a value for one Take of the same key under this Together, and nothing where there is none.
func Leave(ctx context.Context, key, value any) {
	if left, ok := ctx.Value(togetherKey{}).(*sync.Map); ok {
		left.Store(key, value)
	}
}

// Take returns what was left under the key since the last Take of it.
func Take(ctx context.Context, key any) (value any, ok bool) {
	if left, found := ctx.Value(togetherKey{}).(*sync.Map); found {
		return left.LoadAndDelete(key)
	}
	return nil, false
}

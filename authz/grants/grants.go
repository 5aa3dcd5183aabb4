package grants

import (
	"context"
	"errors"
)

// MaxSize bounds a record, encoded, in bytes. It is what a directory attribute
// is sure to hold.
const MaxSize = 64 << 10

// ErrTooLarge says that a record would exceed MaxSize. Since AddFamily makes
// room by itself, what fills such a record is consents.
var ErrTooLarge = errors.New("grants: record is too large")

// Grants keeps one record for each user. The user is the stable subject, never
// a name that may change hands. Both methods are safe for concurrent use.
type Grants interface {
	// Load returns the record of user without what has expired; that of an
	// unknown user is empty, never nil. It belongs to the caller.
	Load(ctx context.Context, user string) (*Record, error)

	// Update changes the record of user in one atomic step. fn receives it
	// without what has expired. When fn fails nothing changes and its error is
	// returned, so that errors.Is finds it; ErrTooLarge says that the changed
	// record does not fit. fn may run several times, each time on a fresh
	// record: what it hands out it must reset first.
	Update(ctx context.Context, user string, fn func(*Record) error) error
}

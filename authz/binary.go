package authz

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/token"
)

// The binary format (R10): a sealed token that holds nothing but references and times. What client,
// resource server and scopes it speaks of is stored once under a number (terms.go).

// binaryVersion begins every binary token, so that the layout can change.
const binaryVersion = 1

// errBinary: sealed by us, and yet not readable: written by another version.
var errBinary = errors.New("binary token of another layout")

// mintBinary seals an access token without claims: at most 256 bytes for identifiers up to 64.
func (s *Server) mintBinary(ctx context.Context, a *Authorization, now, expires time.Time) (string, error) {
	number, err := s.run.terms.number(ctx, a.terms())
	if err != nil {
		return "", err
	}
	w := newBinaryWriter()
	w.id(oauth.NewID())
	w.id(a.grantID)
	w.number(number)
	w.time(now)
	w.time(expires)
	w.time(a.authTime)
	w.text(a.subject())
	if a.user != nil && a.client.sector != "" {
		sector := s.run.pairwise.Sector(a.client.sector)
		w.buf = append(w.buf, sector[:]...)
	}
	return s.run.access.Seal(w.buf, nil), w.err
}

// openBinary returns the claims that a binary token stands for.
func (s *Server) openBinary(ctx context.Context, raw string) ([]byte, error) {
	plain, err := s.run.access.Open(raw, nil)
	if err != nil {
		return nil, err
	}
	r := newBinaryReader(plain)
	claims := token.AccessToken{Issuer: s.cfg.Issuer, ID: r.id(), GrantID: r.id()}
	number := r.number()
	claims.IssuedAt, claims.ExpiresAt, claims.AuthTime = r.time(), r.time(), r.time()
	claims.Subject = r.text()
	if len(r.buf) == len(token.Sector{}) {
		claims.Subject = s.run.pairwise.Identifier(token.Sector(r.buf), claims.Subject)
	}
	if r.err != nil {
		return nil, r.err
	}
	terms, err := s.run.terms.get(ctx, number)
	if err != nil {
		return nil, err
	}
	claims.ClientID, claims.Scope, claims.Audience = terms.ClientID, terms.Scope, []string{terms.Audience}
	claims.Extra = s.sealPrivate(privatePart{UserInfo: terms.Claims.userInfo()}, claims.ID)
	claims.ACR, claims.AMR = terms.ACR, terms.AMR
	return claims.Marshal()
}

// isBinary tells a sealed token from a JWS or JWE.
func isBinary(raw string) bool { return !strings.Contains(raw, ".") }

// binaryWriter writes numbers as varints and identifiers as the bytes they stand for.
type binaryWriter struct {
	buf []byte
	err error // the first one
}

func newBinaryWriter() *binaryWriter { return &binaryWriter{buf: []byte{binaryVersion}} }

func (w *binaryWriter) number(n uint64) { w.buf = binary.AppendUvarint(w.buf, n) }

// time has whole seconds; the zero time is 0.
func (w *binaryWriter) time(t time.Time) {
	if t.IsZero() {
		w.number(0)
		return
	}
	w.number(uint64(max(0, t.Unix()))) // #nosec G115 -- not negative
}

func (w *binaryWriter) text(s string) {
	w.number(uint64(len(s)))
	w.buf = append(w.buf, s...)
}

// id writes what oauth.NewID made as 16 bytes.
func (w *binaryWriter) id(s string) {
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil && len(raw) != idSize {
		err = errBinary
	}
	if err != nil {
		w.err = fmt.Errorf("id %q: %w", s, err)
	}
	w.buf = append(w.buf, raw...)
}

const idSize = 16

// binaryReader reads what binaryWriter wrote; the first error stays.
type binaryReader struct {
	buf []byte
	err error
}

func newBinaryReader(plain []byte) *binaryReader {
	r := &binaryReader{buf: plain}
	if version := r.bytes(1); r.err == nil && version[0] != binaryVersion {
		r.err = errBinary
	}
	return r
}

func (r *binaryReader) number() uint64 {
	n, size := binary.Uvarint(r.buf)
	if size <= 0 {
		r.err = errBinary
		return 0
	}
	r.buf = r.buf[size:]
	return n
}

func (r *binaryReader) bytes(n uint64) []byte {
	if n > uint64(len(r.buf)) {
		r.err = errBinary
		return nil
	}
	b := r.buf[:n]
	r.buf = r.buf[n:]
	return b
}

func (r *binaryReader) time() time.Time {
	seconds := r.number()
	if seconds == 0 || seconds > maxSeconds {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0) // #nosec G115 -- bounded
}

// maxSeconds is the end of the year 9999.
const maxSeconds = 253402300799

func (r *binaryReader) text() string { return string(r.bytes(r.number())) }

func (r *binaryReader) id() string { return base64.RawURLEncoding.EncodeToString(r.bytes(idSize)) }

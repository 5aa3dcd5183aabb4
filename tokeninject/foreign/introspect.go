package foreign

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatewright/gatewright/authz/token"
	"github.com/gatewright/gatewright/tokeninject"
)

// typIntrospection is the typ and, as a media type, the Content-Type of a signed answer (RFC 9701 §5).
const typIntrospection = "token-introspection+jwt"

// Why an answer gives no access.
var (
	errInactive    = errors.New("the issuer says that the token is not active")
	errNoAudience  = errors.New("introspection: the answer says no aud, so it can't be told for whom the token is")
	errNotAccess   = errors.New("introspection: the token is no access token")
	errNoKind      = errors.New("introspection: the answer has neither aud nor token_type, so it can't be told for whom the token is, nor of what kind")
	errAnswer      = errors.New("introspection: the answer is malformed")
	errAnotherIss  = errors.New("introspection: the answer is about another issuer's token")
	errAnswerToWho = errors.New("introspection: the signed answer is not for this gate")
)

// introspected is an answer with how long it counts.
type introspected struct {
	payload []byte
	until   time.Time
}

// introspect asks the issuer about a token (RFC 7662), in one flight for all who bring it.
func (i *Issuer) introspect(ctx context.Context, raw string) ([]byte, time.Time, error) {
	sum := sha256.Sum256([]byte(raw))
	answers := i.asking.DoChan(string(sum[:]), func() (any, error) {
		ctx := context.WithoutCancel(ctx)
		if err := i.place(ctx); err != nil {
			return nil, err
		}
		defer func() { <-i.places }()
		return i.askBounded(ctx, raw, sum)
	})
	select {
	case answer := <-answers:
		if answer.Err != nil {
			return nil, time.Time{}, answer.Err
		}
		got := answer.Val.(introspected)
		return got.payload, got.until, nil
	case <-ctx.Done():
		return nil, time.Time{}, ctx.Err()
	}
}

const (
	// maxAsking is how many tokens an issuer is asked about at once: a flood of bad ones must not become one
	// of ours against it.
	maxAsking = 32
	// placeWait is how long a token waits for its turn.
	placeWait = time.Second
)

// place waits for a place among those who ask.
func (i *Issuer) place(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, placeWait)
	defer cancel()
	select {
	case i.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: tokens are waiting to be asked about", tokeninject.ErrBusy)
	}
}

// askBounded asks, and waits long for the answer. Of an issuer that was silent the last time, one question at a time
// waits so long for its next word, and the others a moment.
func (i *Issuer) askBounded(ctx context.Context, raw string, sum [32]byte) (introspected, error) {
	wait := fetchTimeout
	if i.silent.Load() {
		if i.listening.CompareAndSwap(false, true) {
			defer i.listening.Store(false)
		} else {
			wait = newerWait
		}
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	answer, err := i.ask(ctx, raw, sum)
	switch {
	case err == nil || ctx.Err() == nil:
		i.silent.Store(false)
	case wait == fetchTimeout: // a slow issuer must not count as silent for want of patience
		i.silent.Store(true)
	}
	return answer, err
}

func (i *Issuer) ask(ctx context.Context, raw string, sum [32]byte) (introspected, error) {
	q := i.cfg.Introspection
	m, err := i.metadata.get(ctx)
	if err != nil {
		return introspected{}, err
	}
	endpoint := q.Endpoint
	if endpoint == "" {
		endpoint = m.Introspection
	}
	if endpoint == "" {
		return introspected{}, errAway(errors.New("introspection: the issuer's metadata has no endpoint for it"))
	}
	asked := i.cfg.Now()
	form := url.Values{"token": {raw}, "token_type_hint": {"access_token"}}
	status, header, body, err := i.post(ctx, endpoint, form, q.Client, m.IntrospectionAuth,
		"application/"+typIntrospection+", application/json;q=0.9")
	switch {
	case err != nil:
		return introspected{}, err
	case status != http.StatusOK: // of the gate's own credentials, and says nothing of the token
		return introspected{}, errAway(fmt.Errorf("introspection: %w", refusal(status, body)))
	}
	claims, err := i.readIntrospection(ctx, header.Get("Content-Type"), body)
	if err != nil {
		return introspected{}, err
	}
	until := asked.Add(q.Cache)
	payload, err := i.asAccessToken(claims, sum, asked, until)
	return introspected{payload, until}, err
}

// readIntrospection reads an answer, signed or not.
func (i *Issuer) readIntrospection(ctx context.Context, contentType string, body []byte) (map[string]any, error) {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "application/"+typIntrospection {
		return readClaims(body)
	}
	payload, _, err := i.verify(ctx, string(body), typIntrospection)
	if err != nil {
		return nil, fmt.Errorf("introspection: %w", err)
	}
	outer, err := readClaims(payload)
	if err != nil {
		return nil, err
	}
	if outer["iss"] != i.cfg.URL || !holds(outer["aud"], i.cfg.Introspection.Client.ID) { // RFC 9701 §5
		return nil, errAnswerToWho
	}
	claims, ok := outer["token_introspection"].(map[string]any)
	if !ok {
		return nil, errAnswer
	}
	return claims, nil
}

// readClaims reads JSON as strictly as a token: what is in it decides who gets in.
func readClaims(body []byte) (map[string]any, error) {
	claims, err := token.Claims(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errAnswer, err)
	}
	return claims, nil
}

// asAccessToken writes an answer as the claims of an access token. RFC 7662 §2.2 leaves nearly everything
// to the issuer; what it left out is filled in where nothing depends on it, and refused where it does.
func (i *Issuer) asAccessToken(claims map[string]any, sum [32]byte, asked, until time.Time) ([]byte, error) {
	if active, ok := claims["active"].(bool); !ok || !active {
		return nil, errInactive
	}
	if iss, ok := claims["iss"]; ok && iss != i.cfg.URL {
		return nil, errAnotherIss
	}
	if _, ok := claims["aud"]; !ok && i.cfg.Introspection.AssumeAudience == "" {
		return nil, errNoAudience
	}
	if err := i.isAccessToken(claims); err != nil {
		return nil, err
	}
	delete(claims, "active")
	claims["iss"] = i.cfg.URL
	fill := func(name string, value any) {
		if text, isText := claims[name].(string); claims[name] == nil || isText && text == "" {
			claims[name] = value
		}
	}
	fill("client_id", nobody)
	fill("sub", claims["client_id"]) // as RFC 9068 §2.2 has it where no person is behind it
	fill("jti", base64.RawURLEncoding.EncodeToString(sum[:16]))
	fill("exp", until.Unix()+1) // so that it is asked again, and not taken for ended
	fill("iat", asked.Add(-time.Second).Unix())
	fill("aud", i.cfg.Introspection.AssumeAudience)
	return json.Marshal(claims)
}

// isAccessToken refuses what an issuer knows as another kind of token (A6): RFC 7662 says of refresh tokens
// that they are active, too. token_type is of RFC 6749 §5.1, token_use Hydra's and Cognito's, typ Keycloak's.
func (i *Issuer) isAccessToken(claims map[string]any) error {
	kind, typed := claims["token_type"].(string)
	use, used := claims["token_use"].(string)
	typ, _ := claims["typ"].(string)
	switch {
	case typed && !strings.EqualFold(kind, "Bearer"), used && use != "access_token" && use != "access",
		slices.Contains([]string{"Refresh", "Offline", "ID"}, typ):
		return errNotAccess
	case i.cfg.Introspection.AssumeAudience != "" && !typed && !used && typ == "":
		return errNoKind
	}
	return nil
}

// nobody is the client of a token whose issuer doesn't say.
const nobody = "(unknown)"

// holds tells whether a claim is a value, or a list that has it.
func holds(claim any, value string) bool {
	list, ok := claim.([]any)
	if !ok {
		return claim == value
	}
	for _, item := range list {
		if item == value {
			return true
		}
	}
	return false
}

package token

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

const (
	testInterval = 24 * time.Hour
	testOverlap  = time.Hour
)

// testPlan rotates every day and keeps keys for an hour.
func testPlan(algs ...jose.SignatureAlgorithm) *Plan {
	return &Plan{Algorithms: algs, Interval: testInterval, Overlap: testOverlap}
}

// life is the keys of an issuer as time goes on.
type life struct {
	t    *testing.T
	plan *Plan
	keys *Keys
	now  time.Time
}

func newLife(t *testing.T, plan *Plan) *life {
	t.Helper()
	keys, err := plan.Generate(testNow)
	require.NoError(t, err)
	return &life{t: t, plan: plan, keys: keys, now: testNow}
}

// store writes the keys and reads them again.
func (l *life) store() {
	l.t.Helper()
	doc, err := l.keys.Marshal()
	require.NoError(l.t, err)
	l.keys, err = ParseKeys(doc)
	require.NoError(l.t, err)
}

// step does what a plan's method says, and tells whether it has to be stored. Another node that has
// the stored keys gets the same.
func (l *life) step(method func(*Keys, time.Time) (*Keys, bool, error)) (changed bool) {
	l.t.Helper()
	next, changed, err := method(l.keys, l.now)
	require.NoError(l.t, err)
	before := l.keys
	l.keys = next
	if changed {
		l.store()
	} else {
		require.Equal(l.t, string(before.JWKS()), string(next.JWKS()))
	}
	other, again, err := l.plan.Tend(l.keys, l.now)
	require.NoError(l.t, err)
	require.False(l.t, again, "it is stored already")
	l.keys = other
	return changed
}

func (l *life) after(d time.Duration) *life {
	l.now = l.now.Add(d)
	return l
}

func (l *life) sign(alg jose.SignatureAlgorithm) string {
	l.t.Helper()
	raw, err := l.keys.Sign(alg, "JWT", []byte(`{}`))
	require.NoError(l.t, err)
	return raw
}

func (l *life) verify(raw string) error {
	_, err := l.keys.Verifier().Verify(raw, "JWT")
	return err
}

func (l *life) encrypt() string {
	l.t.Helper()
	raw, err := l.keys.Encrypt(l.sign(jose.ES256))
	require.NoError(l.t, err)
	return raw
}

// published is how many keys the JWKS has.
func (l *life) published() int {
	l.t.Helper()
	set, err := parseJWKS(l.keys.JWKS())
	require.NoError(l.t, err)
	return len(set)
}

func TestG12_PlanAddsOnlyWhatIsMissing(t *testing.T) {
	plan := &Plan{Algorithms: []jose.SignatureAlgorithm{jose.ES256}}
	keys := otherKeys()
	same, changed, err := plan.Adopt(keys, testNow)
	require.NoError(t, err)
	require.False(t, changed)
	require.Same(t, keys, same)
	plan.Algorithms = []jose.SignatureAlgorithm{jose.EdDSA, jose.ES256, jose.EdDSA}
	more, changed, err := plan.Adopt(keys, testNow)
	require.NoError(t, err)
	require.True(t, changed)
	require.Equal(t, []jose.SignatureAlgorithm{jose.ES256, jose.EdDSA}, more.Algorithms())
	require.Len(t, more.signing, 2)
	require.Len(t, keys.signing, 1, "the old keys are as they were")
	raw, err := keys.Sign(jose.ES256, "JWT", []byte(`{}`))
	require.NoError(t, err)
	_, err = more.Verifier().Verify(raw, "JWT")
	require.NoError(t, err)
	plan.Algorithms = []jose.SignatureAlgorithm{"ES257"}
	_, _, err = plan.Adopt(keys, testNow)
	require.ErrorIs(t, err, ErrAlgorithm)
}

func TestG12_KeyIsPublishedThenSignsThenVerifiesThenGoes(t *testing.T) {
	l := newLife(t, testPlan(jose.ES256))
	require.False(t, l.after(time.Second).step(l.plan.Adopt), "a new issuer's keys are what the plan wants")
	first := l.sign(jose.ES256)

	require.False(t, l.after(testInterval-PublishAhead-2*time.Second).step(l.plan.Tend), "not yet due")
	require.Equal(t, 1, l.published())
	require.True(t, l.after(time.Second).step(l.plan.Tend))
	require.Equal(t, 2, l.published(), "next")
	require.Equal(t, part(first, 0), part(l.sign(jose.ES256), 0), "which doesn't sign yet")
	require.False(t, l.after(PublishAhead-time.Second).step(l.plan.Tend))
	lastOfFirst := l.sign(jose.ES256)
	require.Equal(t, part(first, 0), part(lastOfFirst, 0))

	require.False(t, l.after(time.Second).step(l.plan.Tend), "nothing to store: every node knows when")
	second := l.sign(jose.ES256)
	require.NotEqual(t, part(first, 0), part(second, 0))
	require.NoError(t, l.verify(lastOfFirst))

	require.True(t, l.after(PublishAhead+time.Second).step(l.plan.Tend))
	require.Nil(t, l.keys.signing[0].private, "what has ceased to sign is not kept to be stolen")
	require.Equal(t, part(second, 0), part(l.sign(jose.ES256), 0))
	require.False(t, l.after(testOverlap-PublishAhead-time.Second).step(l.plan.Tend))
	require.NoError(t, l.verify(lastOfFirst), "to the last moment of the overlap")
	require.True(t, l.after(time.Second).step(l.plan.Tend))
	require.ErrorIs(t, l.verify(lastOfFirst), ErrUnknownKey)
	require.NoError(t, l.verify(second))
	require.Equal(t, 1, l.published())
}

func TestG12_RotationIsForGeneratedKeysAndNeverUnlessWanted(t *testing.T) {
	l := newLife(t, &Plan{Algorithms: []jose.SignatureAlgorithm{jose.ES256}, Overlap: testOverlap})
	require.False(t, l.after(10*365*24*time.Hour).step(l.plan.Tend))
	l.plan.Files = []*FileKey{fileKey(t, "", newEC(t, algorithms["ES256"].curve))}
	l.plan.Interval = testInterval
	require.True(t, l.step(l.plan.Adopt))
	require.Equal(t, 2, l.published())
	l.after(2 * testInterval).step(l.plan.Tend)
	require.Equal(t, 1, l.published(), "the file's alone")
	require.Len(t, l.keys.server, 2, "encryption keys have no files")
}

func TestG12_ServerThatWasOffRotatesAheadAllTheSame(t *testing.T) {
	l := newLife(t, testPlan(jose.ES256))
	first := l.sign(jose.ES256)
	require.True(t, l.after(100*testInterval).step(l.plan.Adopt))
	require.Equal(t, part(first, 0), part(l.sign(jose.ES256), 0))
	l.after(PublishAhead).step(l.plan.Tend)
	require.NotEqual(t, part(first, 0), part(l.sign(jose.ES256), 0))
	require.Equal(t, 2, l.published())
}

func TestG12_RotationByHand(t *testing.T) {
	l := newLife(t, &Plan{Algorithms: []jose.SignatureAlgorithm{jose.ES256, jose.EdDSA}, Overlap: testOverlap})
	first := l.sign(jose.EdDSA)
	require.True(t, l.after(time.Hour).step(l.plan.Rotate))
	require.Equal(t, 4, l.published())
	require.False(t, l.after(time.Minute).step(l.plan.Rotate), "it is under way")
	require.Equal(t, part(first, 0), part(l.sign(jose.EdDSA), 0))
	l.after(PublishAhead).step(l.plan.Tend)
	require.NotEqual(t, part(first, 0), part(l.sign(jose.EdDSA), 0))
	require.NoError(t, l.verify(first))
	l.after(2 * testOverlap).step(l.plan.Tend)
	require.Equal(t, 2, l.published())
}

func TestG12_LongestOverlapPromisedCounts(t *testing.T) {
	l := newLife(t, testPlan(jose.ES256))
	l.plan.Overlap = 20 * testOverlap
	require.True(t, l.step(l.plan.Adopt), "tokens live longer from now on")
	raw := l.sign(jose.ES256)
	l.plan.Overlap = testOverlap
	require.False(t, l.step(l.plan.Adopt), "but those of before still do")
	l.after(testInterval).step(l.plan.Tend)
	l.after(PublishAhead).step(l.plan.Tend)
	l.after(20 * testOverlap).step(l.plan.Tend)
	require.NoError(t, l.verify(raw))
	l.after(time.Second).step(l.plan.Tend)
	require.ErrorIs(t, l.verify(raw), ErrUnknownKey)
}

func TestG12_AlgorithmNoLongerWantedEnds(t *testing.T) {
	l := newLife(t, testPlan(jose.ES256, jose.EdDSA))
	raw := l.sign(jose.EdDSA)
	l.plan = testPlan(jose.ES256)
	require.True(t, l.step(l.plan.Adopt))
	l.after(testOverlap).step(l.plan.Tend)
	require.NoError(t, l.verify(raw))
	l.plan = testPlan(jose.ES256, jose.EdDSA)
	require.True(t, l.step(l.plan.Adopt), "wanted again")
	require.False(t, l.after(testOverlap).step(l.plan.Tend))
	require.Equal(t, part(raw, 0), part(l.sign(jose.EdDSA), 0))
	l.plan = testPlan(jose.ES256)
	require.True(t, l.step(l.plan.Adopt))
	require.True(t, l.after(testOverlap+time.Second).step(l.plan.Tend))
	require.ErrorIs(t, l.verify(raw), ErrUnknownKey)
	require.Equal(t, []jose.SignatureAlgorithm{jose.ES256}, l.keys.Algorithms())
}

func TestG12_IntervalIsTheOneAdoptedLast(t *testing.T) {
	l := newLife(t, testPlan(jose.ES256))
	older := *l.plan
	l.plan.Interval = 0
	require.True(t, l.step(l.plan.Adopt))
	require.False(t, l.after(2*testInterval).step(older.Tend), "a server that is about to end has no say")
	require.Equal(t, 1, l.published())
}

func TestG12_ClockBehindSignsWithTheFirstKey(t *testing.T) {
	keys := otherKeys()
	early := keys.At(testNow.Add(-time.Hour))
	require.Same(t, keys, early)
	_, err := early.Sign(jose.ES256, "JWT", []byte(`{}`))
	require.NoError(t, err)
}

func TestG12_MasterSecretNeverRotates(t *testing.T) {
	l := newLife(t, testPlan(jose.ES256))
	before := l.keys
	sealed := before.Sealer("refresh").Seal([]byte("x"), nil)
	require.True(t, l.step(l.plan.Rotate))
	require.True(t, l.keys.SameIssuer(before))
	require.False(t, l.keys.SameIssuer(otherKeys()))
	l.after(100 * testInterval).step(l.plan.Tend)
	opened, err := l.keys.Sealer("refresh").Open(sealed, nil)
	require.NoError(t, err)
	require.Equal(t, "x", string(opened))
}

func TestR7_ServerKidsGoRoundAndOldTokensOpen(t *testing.T) {
	plan := testPlan(jose.ES256)
	plan.Overlap = 10*testInterval - PublishAhead - time.Second
	l := newLife(t, plan)
	tokens := make([]string, 0, 12)
	for i := range 12 {
		tokens = append(tokens, l.encrypt())
		head, err := decode(part(tokens[i], 0))
		require.NoError(t, err)
		require.Contains(t, string(head), fmt.Sprintf(`"kid":"%d"`, i%11))
		_, err = l.keys.Decrypt(tokens[max(0, i-10)])
		require.NoError(t, err, "it opens across ten rotations")
		if i < 11 {
			require.True(t, l.after(testInterval-PublishAhead).step(plan.Tend), "published ahead: all nodes open it")
			l.after(PublishAhead).step(plan.Tend)
		}
	}
	require.Len(t, l.keys.server, 11)
	_, err := l.keys.Decrypt(tokens[0])
	require.ErrorIs(t, err, ErrDecrypt, "kid 0 has a new key by now")
	for _, raw := range tokens[1:] {
		_, err := l.keys.Decrypt(raw)
		require.NoError(t, err)
	}
}

func TestR7_ServerKeyGoesWhenNothingAliveCarriesIt(t *testing.T) {
	l := newLife(t, testPlan(jose.ES256))
	raw := l.encrypt()
	require.True(t, l.after(testInterval-PublishAhead).step(l.plan.Tend))
	require.Len(t, l.keys.server, 2)
	require.Equal(t, part(raw, 0), part(l.encrypt(), 0), "the next one doesn't encrypt yet")
	l.after(PublishAhead + testOverlap).step(l.plan.Tend)
	_, err := l.keys.Decrypt(raw)
	require.NoError(t, err)
	require.True(t, l.after(time.Second).step(l.plan.Tend))
	_, err = l.keys.Decrypt(raw)
	require.ErrorIs(t, err, ErrNotOurs)
}

func TestR7_KidIsNotTakenFromALiveKey(t *testing.T) {
	plan := testPlan(jose.ES256)
	plan.Interval, plan.Overlap = 0, 365*24*time.Hour
	l := newLife(t, plan)
	first := l.encrypt()
	for range 10 {
		require.True(t, l.step(plan.Rotate))
		l.after(PublishAhead).step(plan.Tend)
	}
	_, _, err := plan.Rotate(l.keys, l.now)
	require.ErrorIs(t, err, ErrKey)
	plan.Interval = testInterval
	l.step(plan.Adopt)
	l.after(testInterval).step(plan.Tend)
	require.Len(t, l.keys.server, 11, "the schedule waits as well")
	require.Greater(t, l.published(), 11, "for encryption only")
	_, err = l.keys.Decrypt(first)
	require.NoError(t, err)
	l.after(plan.Overlap).step(plan.Tend)
	require.Less(t, len(l.keys.server), 11)
}

func TestParseKeys_DocumentWithoutTimesOfServerKeys(t *testing.T) {
	doc, err := otherKeys().Marshal()
	require.NoError(t, err)
	members, err := Claims(doc)
	require.NoError(t, err)
	require.Contains(t, members, "server_times")
	delete(members, "server_times")
	doc, err = json.Marshal(members)
	require.NoError(t, err)
	keys, err := ParseKeys(doc)
	require.NoError(t, err)
	raw, err := keys.Encrypt(goodJWS(t, jose.ES256))
	require.NoError(t, err)
	next, changed, err := testPlan(jose.ES256).Adopt(keys, testNow)
	require.NoError(t, err)
	require.True(t, changed)
	require.Len(t, next.server, 2, "nobody knows its age, so it is due")
	_, err = next.Decrypt(raw)
	require.NoError(t, err)
}

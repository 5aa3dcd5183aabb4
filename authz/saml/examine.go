package saml

import (
	"slices"
	"strings"
	"time"

	"github.com/beevik/etree"

	"github.com/gatewright/gatewright/authz/oauth"
)

const (
	bearer = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
	// entity is the one format of an Issuer (SAML 2.0 Core §8.3.6), which may be left out.
	entity = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity"
)

// issuerOf reads who an assertion says that it is of.
func issuerOf(root *etree.Element) (string, error) {
	issuer, err := only(root, nsAssertion, "Issuer")
	if err != nil {
		return "", err
	}
	if format := issuer.SelectAttrValue("Format", entity); format != entity {
		return "", refuse(ErrIssuer, "format %q", oauth.Clip(format))
	}
	return text(issuer)
}

// examine checks what the signature covered (RFC 7522 §3).
func (v *Verifier) examine(root *etree.Element, issuer *Issuer, now time.Time) (*Assertion, error) {
	a := &Assertion{ID: root.SelectAttrValue("ID", "")}
	var err error
	if a.Issuer, err = issuerOf(root); err != nil {
		return nil, err
	}
	if a.ID == "" || a.Issuer != issuer.EntityID || root.Tag != "Assertion" || root.NamespaceURI() != nsAssertion {
		return nil, refuse(ErrSignature, "it covers something else")
	}
	subject, err := only(root, nsAssertion, "Subject")
	if err != nil {
		return nil, err
	}
	name, err := only(subject, nsAssertion, "NameID")
	if err != nil {
		return nil, err
	}
	if a.NameID, err = text(name); err != nil {
		return nil, err
	}
	confirmed, err := v.confirmed(subject, now)
	if err != nil {
		return nil, err
	}
	conditions, err := only(root, nsAssertion, "Conditions")
	if err != nil {
		return nil, err
	}
	if a.Expires, err = checkConditions(conditions, issuer, now); err != nil {
		return nil, err
	}
	a.Expires = earlier(a.Expires, confirmed)
	if a.Expires.IsZero() {
		return nil, refuse(ErrTime, "it has no end")
	}
	if err := a.readLogin(root, now); err != nil {
		return nil, err
	}
	return a, nil
}

// confirmed finds a confirmation that is for us and holds now, and says until when.
func (v *Verifier) confirmed(subject *etree.Element, now time.Time) (time.Time, error) {
	cause := refuse(ErrAudience, "no bearer confirmation")
	for _, confirmation := range children(subject, nsAssertion, "SubjectConfirmation") {
		if confirmation.SelectAttrValue("Method", "") != bearer {
			continue
		}
		data, err := only(confirmation, nsAssertion, "SubjectConfirmationData")
		if err != nil {
			return time.Time{}, err
		}
		until, err := valid(data, now)
		switch recipient := data.SelectAttrValue("Recipient", ""); {
		case !slices.Contains(v.recipients, recipient):
			cause = refuse(ErrAudience, "recipient %q", oauth.Clip(recipient))
		case err != nil:
			cause = err
		default:
			return until, nil
		}
	}
	return time.Time{}, cause
}

// checkConditions wants us among the audiences, and no condition that we don't know (SAML 2.0 Core §2.5.1).
func checkConditions(conditions *etree.Element, issuer *Issuer, now time.Time) (time.Time, error) {
	until, err := valid(conditions, now)
	if err != nil {
		return until, err
	}
	restricted := false
	for _, condition := range conditions.ChildElements() {
		switch condition.Tag {
		case "AudienceRestriction":
			if !forUs(condition, issuer.Audiences) {
				return until, refuse(ErrAudience, "none of ours")
			}
			restricted = true
		case "OneTimeUse": // every assertion is
		default:
			return until, refuse(ErrMalformed, "an unknown condition: %s", oauth.Clip(condition.Tag))
		}
	}
	if !restricted {
		return until, refuse(ErrAudience, "for everybody")
	}
	return until, nil
}

func forUs(restriction *etree.Element, audiences []string) bool {
	for _, audience := range children(restriction, nsAssertion, "Audience") {
		if name, err := text(audience); err == nil && slices.Contains(audiences, name) {
			return true
		}
	}
	return false
}

// readLogin reads when the person signed in, and bounds the assertion by the end of that session.
func (a *Assertion) readLogin(root *etree.Element, now time.Time) error {
	for _, statement := range children(root, nsAssertion, "AuthnStatement") {
		at, err := instant(statement, "AuthnInstant")
		if err != nil {
			return err
		}
		end, err := instant(statement, "SessionNotOnOrAfter")
		switch {
		case err != nil:
			return err
		case at.After(now.Add(Leeway)):
			return refuse(ErrTime, "a login of the future")
		case !end.IsZero() && !now.Before(end):
			return refuse(ErrTime, "the session there has ended")
		}
		a.AuthnInstant, a.Expires = at, earlier(a.Expires, end)
	}
	return nil
}

// valid checks NotBefore and NotOnOrAfter, and returns the latter; zero: there is none.
func valid(e *etree.Element, now time.Time) (time.Time, error) {
	begin, err := instant(e, "NotBefore")
	if err != nil {
		return begin, err
	}
	end, err := instant(e, "NotOnOrAfter")
	switch {
	case err != nil:
		return end, err
	case begin.After(now.Add(Leeway)):
		return end, refuse(ErrTime, "%s: not yet", e.Tag)
	case !end.IsZero() && !now.Before(end):
		return end, refuse(ErrTime, "%s: expired", e.Tag)
	}
	return end, nil
}

// instant reads a time (SAML 2.0 Core §1.3.3: in UTC); zero: it is not there.
func instant(e *etree.Element, name string) (time.Time, error) {
	value := e.SelectAttrValue(name, "")
	if value == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339Nano, value)
	if err != nil || !strings.HasSuffix(value, "Z") {
		return time.Time{}, refuse(ErrMalformed, "%s is no time in UTC", name)
	}
	return at, nil
}

// earlier is the first of two times; a zero one is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// text is the whole content of an element that has no others in it.
func text(e *etree.Element) (string, error) {
	for _, child := range e.Child {
		if _, plain := child.(*etree.CharData); !plain {
			return "", refuse(ErrMalformed, "%s holds more than text", e.Tag)
		}
	}
	value := strings.TrimSpace(e.Text())
	if value == "" {
		return "", refuse(ErrMalformed, "%s is empty", e.Tag)
	}
	return value, nil
}

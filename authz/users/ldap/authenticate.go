package ldap

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"github.com/go-ldap/ldap/v3"
	"go.uber.org/zap"

	"github.com/gatewright/gatewright/authz/users"
)

// Authenticate implements users.Authenticator.
func (d *Directory) Authenticate(ctx context.Context, c users.Credentials, admit func(subject string) error) (*users.User, error) {
	if !plausible(c.Username) || c.Password == "" || len(c.Password) > maxPassword {
		return nil, users.ErrCredentials
	}
	p, err := d.find(ctx, c.Username)
	if err != nil {
		return nil, err
	}
	if p == nil {
		return nil, d.refuse(ctx, c.Password, users.ErrCredentials)
	}
	if err := admit(p.subject); err != nil {
		return nil, d.refuse(ctx, c.Password, err)
	}
	began := d.cfg.Now()
	err = d.checkPassword(ctx, p.entry.DN, c.Password)
	if err == nil || errors.Is(err, users.ErrCredentials) {
		d.pace.note(d.cfg.Now().Sub(began))
	}
	if err == nil {
		err = p.ended()
	}
	if err != nil {
		return nil, err
	}
	roles, err := d.knownRoles(ctx, p)
	if err != nil {
		return nil, err
	}
	return d.user(p, roles), nil
}

// refuse answers without a look at anybody's password. It costs what that costs: the round trip of a bind,
// and the time that servers lately took to compare a password, which they don't do for an entry that isn't
// there. No entry has its DN, so nobody's count of wrong passwords moves.
func (d *Directory) refuse(ctx context.Context, password string, why error) error {
	var nobody [16]byte
	_, _ = rand.Read(nobody[:]) // never fails
	began := d.cfg.Now()
	err := d.checkPassword(ctx, "cn="+hex.EncodeToString(nobody[:])+","+d.cfg.Base, password)
	if errors.Is(err, users.ErrUnavailable) {
		return err
	}
	d.pace.wait(ctx, d.cfg.Now().Sub(began))
	return why
}

// checkPassword binds as an entry. What a server says of the password is users.ErrCredentials or
// users.ErrDisabled; other errors are no judgement of it.
func (d *Directory) checkPassword(ctx context.Context, dn, password string) error {
	return d.first(ctx, func(s *server) error {
		var answer []ldap.Control
		err := s.run(ctx, s.binds, func(ctx context.Context, c *conn) (err error) {
			answer, err = c.bind(ctx, dn, password, ldap.NewControlBeheraPasswordPolicy())
			return err
		})
		if errors.Is(err, users.ErrUnavailable) {
			return err
		}
		return d.verdict(s.kind(), err, answer)
	})
}

func (s *server) kind() Kind {
	if l := s.layout.Load(); l != nil {
		return l.kind
	}
	return Other
}

// verdict says what the answer to a bind means to the person.
func (d *Directory) verdict(kind Kind, err error, answer []ldap.Control) error {
	switch {
	case err == nil:
		return mustChange(answer)
	case isCode(err, ldap.LDAPResultInvalidCredentials):
		return refusal(kind, err, answer)
	case isCode(err, ldap.LDAPResultConstraintViolation, ldap.LDAPResultNoSuchObject, ldap.LDAPResultInvalidDNSyntax,
		ldap.LDAPResultInappropriateAuthentication, ldap.LDAPResultInsufficientAccessRights, ldap.LDAPResultUnwillingToPerform):
		// Servers say these before they look at the password: of an account that is locked or has none.
		d.cfg.Logger.Debug("the directory refused a bind", zap.Error(err))
		return users.ErrCredentials
	}
	return fmt.Errorf("ldap: bind: %w", err)
}

// Errors of the password policy (draft-behera-ldap-password-policy-10 §6.2).
const (
	policyPasswordExpired  = 0
	policyChangeAfterReset = 2
)

// mustChange tells of a right password that may do nothing but be replaced.
func mustChange(answer []ldap.Control) error {
	for _, control := range answer {
		switch c := control.(type) {
		case *ldap.ControlBeheraPasswordPolicy:
			if c.Error == policyChangeAfterReset {
				return users.ErrMustChange
			}
		case *ldap.ControlVChuPasswordMustChange:
			if c.MustChange {
				return users.ErrMustChange
			}
		}
	}
	return nil
}

// subcodeForm finds Active Directory's reason, which is nowhere but in the diagnostic message.
var subcodeForm = regexp.MustCompile(`\bdata ([0-9a-f]{1,8})\b`)

// refusal is users.ErrCredentials unless the server says something that it says of right passwords only.
func refusal(kind Kind, err error, answer []ldap.Control) error {
	switch kind {
	case ActiveDirectory:
		if m := subcodeForm.FindStringSubmatch(err.Error()); m != nil {
			return subcode(m[1])
		}
	case OpenLDAP, DS389:
		for _, control := range answer {
			c, ok := control.(*ldap.ControlBeheraPasswordPolicy)
			if ok && c.Error == policyPasswordExpired {
				return users.ErrPasswordExpired
			}
		}
	}
	return users.ErrCredentials
}

// subcode reads a Windows error ([MS-ERREF] §2.2). Active Directory gives those of this list only with a
// right password; 775, the lock, it gives with any.
func subcode(code string) error {
	n, err := strconv.ParseUint(code, 16, 32)
	if err != nil {
		return users.ErrCredentials
	}
	switch n {
	case 0x530, 0x531:
		return users.ErrNotNow
	case 0x532:
		return users.ErrPasswordExpired
	case 0x533:
		return users.ErrDisabled
	case 0x701:
		return users.ErrExpired
	case 0x773:
		return users.ErrMustChange
	}
	return users.ErrCredentials
}

package authz

import (
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// A recovery code is twelve digits: a phone's number pad can type it.
const (
	recoveryCodes  = 10
	recoveryDigits = 12
)

// newRecoveryCodes makes codes for a person to write down, in groups of four, and what is kept of them.
func (s *Server) newRecoveryCodes(subject string) (codes, macs []string) {
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(recoveryDigits), nil)
	for range recoveryCodes {
		n, _ := rand.Int(rand.Reader, limit) // crypto/rand never fails
		digits := fmt.Sprintf("%0*d", recoveryDigits, n)
		codes = append(codes, digits[:4]+"-"+digits[4:8]+"-"+digits[8:])
		macs = append(macs, s.recoveryMAC(subject, digits))
	}
	return codes, macs
}

// recoveryMAC is how a recovery code is kept: without the server's key, nothing to guess at.
func (s *Server) recoveryMAC(subject, code string) string {
	return s.run.factorSeal.MAC("recovery", subject, code)
}

// typedCode is a code without what people type between its digits.
func typedCode(typed string) string { return strings.NewReplacer(" ", "", "-", "").Replace(typed) }

// spend takes a recovery code, which works once.
func (rec *factorRecord) spend(mac string) bool {
	i := slices.Index(rec.Recovery, mac)
	if i >= 0 {
		rec.Recovery = slices.Delete(slices.Clone(rec.Recovery), i, i+1)
	}
	return i >= 0
}

// checkRecoveryCode takes a recovery code in the place of a passkey. errNotProven for any other, and of
// somebody who has no passkey: it replaces what is lost, and nothing that never was.
func (s *Server) checkRecoveryCode(ctx context.Context, subject, typed string) error {
	mac := s.recoveryMAC(subject, typedCode(typed))
	err := s.updateFactors(ctx, subject, func(rec *factorRecord) error {
		if len(rec.Passkeys) == 0 || !rec.spend(mac) {
			return errNotProven
		}
		return nil
	})
	if err == nil {
		s.recovered(ctx, subject)
	}
	return err
}

func (s *Server) recovered(ctx context.Context, subject string) {
	s.cfg.Observe(ctx, Event{Name: "recovery_code_used", Issuer: s.cfg.Issuer, Subject: subject})
}

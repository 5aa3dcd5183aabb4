package authz

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/boombuler/barcode/qr"

	"github.com/gatewright/gatewright/authz/oauth"
)

// enrolPage has somebody set up an authenticator app. The secret travels sealed with the page, and is
// kept only once a code has shown that the app has it.
func (s *Server) enrolPage(w http.ResponseWriter, r *http.Request, st *step, problem messageKey) {
	if st.ix.Enrol == "" {
		st.ix.Enrol = newTOTPSecret()
	}
	image, err := newQRCode(s.otpauth(st.user.Username, st.ix.Enrol))
	if err != nil {
		s.redirectError(w, r, &st.ix.Request, err)
		return
	}
	s.pages.render(w, r, http.StatusOK, enrolView{
		loginForm: s.loginForm(st),
		Username:  st.user.Username,
		Secret:    grouped(st.ix.Enrol),
		QR:        image,
		Error:     problem,
	}, s.pageOptions(st.client, &st.ix.Request))
}

// otpauth is the URI that authenticator apps read (Key Uri Format of Google Authenticator).
func (s *Server) otpauth(username, secret string) string {
	name := strings.ReplaceAll(s.pages.brand, ":", " ") // a colon parts issuer and account
	query := url.Values{"secret": {secret}, "issuer": {name}}
	// Some apps show a plus sign where a form has a space.
	return "otpauth://totp/" + url.PathEscape(name+":"+username) + "?" + strings.ReplaceAll(query.Encode(), "+", "%20")
}

// errEnrolled: somebody was faster.
var errEnrolled = errors.New("an authenticator app is enrolled already")

// confirmEnrolment keeps the secret of a page and shows the recovery codes, once.
func (s *Server) confirmEnrolment(w http.ResponseWriter, r *http.Request, st *step, code string) {
	if !s.mayEnrol(w, r, st) {
		return
	}
	secret, subject := st.ix.Enrol, st.user.Subject
	at, matches, err := matchCode(secret, strings.ReplaceAll(code, " ", ""), s.now())
	if err == nil && !matches {
		s.enrolPage(w, r, st, msgWrongCode)
		return
	}
	codes, macs := s.newRecoveryCodes(subject)
	sealed := s.run.factorSeal.Seal([]byte(secret), []byte(subject))
	if err == nil {
		err = s.updateFactors(r.Context(), subject, func(rec *factorRecord) error {
			if rec.Secret != "" {
				return errEnrolled
			}
			rec.Secret, rec.Step, rec.Recovery = sealed, at, macs
			return nil
		})
	}
	st.ix.Enrol = ""
	switch {
	case errors.Is(err, errEnrolled):
		s.toPage(w, r, pathLogin, st.ix)
	case err != nil:
		s.redirectError(w, r, &st.ix.Request, oauth.Errorf(oauth.TemporarilyUnavailable, "the second factor could not be written").Because(err))
	default:
		s.enrolled(r, st)
		s.note(st, st.user, proof{AMR: []string{amrOneTime}})
		s.recoveryPage(w, r, st, codes)
	}
}

// recoveryPage shows the recovery codes, once. Its button only goes on.
func (s *Server) recoveryPage(w http.ResponseWriter, r *http.Request, st *step, codes []string) {
	if !s.signInBefore(w, r, st) {
		return
	}
	st.method = ""
	s.pages.render(w, r, http.StatusOK, recoveryView{loginForm: s.loginForm(st), Codes: codes}, s.pageOptions(st.client, &st.ix.Request))
}

// qrCode is a QR code as one path of SVG, a unit a module.
type qrCode struct {
	Size int // with the quiet zone
	Path string
}

const quietZone = 4 // modules (ISO/IEC 18004 §5.3.8)

func newQRCode(text string) (qrCode, error) {
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return qrCode{}, fmt.Errorf("QR code: %w", err)
	}
	size := code.Bounds().Dx()
	var path strings.Builder
	for y := range size {
		for x := range size {
			if red, _, _, _ := code.At(x, y).RGBA(); red == 0 {
				path.WriteString("M" + strconv.Itoa(x+quietZone) + " " + strconv.Itoa(y+quietZone) + "h1v1h-1z")
			}
		}
	}
	return qrCode{Size: size + 2*quietZone, Path: path.String()}, nil
}

// grouped makes a secret readable.
func grouped(secret string) string {
	var b strings.Builder
	for i := 0; i < len(secret); i += 4 {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(secret[i:min(i+4, len(secret))])
	}
	return b.String()
}

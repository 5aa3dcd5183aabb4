package token

// Algorithm is the alg of a compact JWS, which nothing vouches for yet.
// ErrMalformed when raw is none.
func Algorithm(raw string) (string, error) {
	alg, _, _, err := unverified(raw)
	return alg, err
}

// Unverified reads the claims of a compact JWS, which nothing vouches for yet: to find out whose keys to
// verify it with, and for nothing else.
func Unverified(raw string) (map[string]any, error) {
	_, _, parts, err := unverified(raw)
	if err != nil {
		return nil, err
	}
	payload, err := decode(parts[1])
	if err != nil {
		return nil, err
	}
	return Claims(payload)
}

// Unsigned returns the payload of an unsecured JWS (RFC 7515 §A.5): its alg is
// "none", spelled like this, and its signature empty. It is for what may come
// from anybody; a token of this server's never is. The typ is compared as
// Verify does. Errors: ErrMalformed, ErrAlgorithm, ErrType, ErrSignature.
func Unsigned(raw string, typ ...string) ([]byte, error) {
	alg, given, parts, err := unverified(raw)
	switch {
	case err != nil:
		return nil, err
	case alg != "none":
		return nil, refuse(ErrAlgorithm, "alg is not none")
	case parts[2] != "":
		return nil, refuse(ErrSignature, "alg is none, and yet there is a signature")
	case !HasType(mediaType(given), typ):
		return nil, refuse(ErrType, "typ is not one that is taken here")
	}
	return decode(parts[1])
}

func unverified(raw string) (alg, typ string, parts [3]string, err error) {
	if err := split(raw, parts[:]); err != nil {
		return "", "", parts, err
	}
	err = header(parts[0], func(p *parser, name string) (err error) {
		switch name {
		case "alg":
			alg, err = p.str()
		case "typ":
			typ, err = p.str()
		case "b64":
			err = refuse(ErrMalformed, "header has b64")
		default:
			_, err = p.value()
		}
		return err
	})
	return alg, typ, parts, err
}

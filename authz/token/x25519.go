package token

import (
	"crypto/ecdh"
	"fmt"
)

// readX25519 reads a key for X25519 (RFC 8037 §2), which go-jose doesn't know:
// public, or private with its public half. Its certificate would have to be
// looked after by hand as well (RFC 7517 §4.7), so a key that comes with one is
// refused rather than used past its end.
func (k *jwk) readX25519(members map[string]any) error {
	var kid, use, alg, x, d string
	for name, to := range map[string]*string{"kid": &kid, "use": &use, "alg": &alg, "x": &x, "d": &d} {
		value, has := members[name]
		text, isText := value.(string)
		if has && !isText {
			return refuse(ErrKey, fmt.Sprintf("has a member %s that is no string", name))
		}
		*to = text
	}
	for _, name := range []string{"x5c", "x5u", "x5t", "x5t#S256"} {
		if _, has := members[name]; has {
			return refuse(ErrKey, "has a certificate, which is not supported for X25519")
		}
	}
	k.KeyID, k.Use, k.Algorithm = kid, use, alg
	public, err := publicX25519(x)
	if err != nil {
		return err
	}
	if k.Key = public; !k.secret {
		return nil
	}
	private, err := privateX25519(d)
	if err != nil {
		return err
	}
	if !private.PublicKey().Equal(public) {
		return refuse(ErrKey, "has x and d of different keys")
	}
	k.Key = private
	return nil
}

func publicX25519(x string) (*ecdh.PublicKey, error) {
	point, err := decodeText(x)
	if err != nil {
		return nil, refuse(ErrKey, "has an x that is not base64url")
	}
	public, err := ecdh.X25519().NewPublicKey(point)
	if err != nil {
		return nil, refuse(ErrKey, "has an x that is not 32 bytes")
	}
	return public, nil
}

func privateX25519(d string) (*ecdh.PrivateKey, error) {
	scalar, err := decodeText(d)
	if err != nil {
		return nil, refuse(ErrKey, "has a d that is not base64url")
	}
	private, err := ecdh.X25519().NewPrivateKey(scalar)
	if err != nil {
		return nil, refuse(ErrKey, "has a d that is not 32 bytes")
	}
	return private, nil
}

package authz

import (
	"github.com/gatewright/gatewright/authz/oauth"
)

// maxDevice bounds what a client calls a device, in bytes: it is kept with every family.
const maxDevice = 128

// deviceParam reads revocation_id, or device_id, which is the same: the client's name for the device of
// the person. It is "" where a request names none.
func deviceParam(p oauth.Params) (string, error) {
	device, err := sameDevice(p.Get("revocation_id"), p.Get("device_id"))
	if err != nil {
		return "", err
	}
	if len(device) > maxDevice {
		return "", oauth.Errorf(oauth.InvalidRequest, "revocation_id is longer than %d characters", maxDevice)
	}
	for _, b := range []byte(device) {
		if b < 0x20 || b > 0x7e {
			return "", oauth.Errorf(oauth.InvalidRequest, "revocation_id has characters that are not printable ASCII")
		}
	}
	return device, nil
}

// sameDevice is the one device that is named in two places; one of them may name none.
func sameDevice(a, b string) (string, error) {
	switch {
	case b == "" || a == b:
		return a, nil
	case a == "":
		return b, nil
	default:
		return "", oauth.Errorf(oauth.InvalidRequest, "revocation_id and device_id, or those of two requests, differ")
	}
}

func checkDevice(_ *Server, c *client, p oauth.Params, req *authorizationRequest) (err error) {
	req.Device, err = deviceParam(p)
	req.Persistent = c.PersistentCookie && req.Device != "" && req.responds(responseCode)
	return err
}

package authz

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/token"
)

// maxRegistration is the most a registration may measure, in bytes (A53).
const maxRegistration = 32 << 10

// registrationRequest is what a registration may hold beside the metadata.
type registrationRequest struct {
	clientMetadata
	ClientID          string `json:"client_id"`
	ClientSecret      string `json:"client_secret"`
	SoftwareStatement string `json:"software_statement"`
}

// readRegistration reads a JSON object strictly. Members that nobody knows are ignored (RFC 7591 §2).
func readRegistration(r *http.Request) (*registrationRequest, error) {
	request := new(registrationRequest)
	if err := readObject(r, request); err != nil {
		return nil, err
	}
	return request, checkStatement(request.SoftwareStatement)
}

func readObject(r *http.Request, into any) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != typeJSON {
		return oauth.Errorf(oauth.InvalidRequest, "the content type must be application/json")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRegistration+1))
	if err != nil {
		return oauth.Errorf(oauth.InvalidRequest, "the body could not be read").Because(err)
	}
	if len(body) > maxRegistration {
		return oauth.Errorf(oauth.InvalidClientMetadata, "the body is larger than %d bytes", maxRegistration)
	}
	members, err := token.Claims(body)
	if err != nil {
		return oauth.Errorf(oauth.InvalidClientMetadata, "the body is no JSON object, or a member is there twice").Because(err)
	}
	for name := range members { // encoding/json would take any spelling for a member: ſcope is scope to it
		if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "" {
			delete(members, name)
		}
	}
	exact, err := json.Marshal(members)
	if err == nil {
		err = json.Unmarshal(exact, into)
	}
	if err != nil {
		return oauth.Errorf(oauth.InvalidClientMetadata, "a member has the wrong type").Because(err)
	}
	return nil
}

package caddymodule

import (
	"strings"

	"github.com/gatewright/gatewright/authz"
)

// warnings are what an operator should know of a configuration that works. They are logged when it is
// loaded, and doctor repeats them.
func warnings(cfg authz.Config) (found []Finding) {
	if strings.HasPrefix(cfg.Issuer, "http:") {
		found = append(found, Finding{
			What: "issuer", Detail: "is http, which is for trying things out on one machine only", Fix: "an https issuer",
		})
	}
	for _, rs := range cfg.ResourceServers {
		for _, scope := range rs.Scopes {
			if len(scope.Attributes) > 0 && !scope.RequireConsent { // S12
				found = append(found, Finding{
					What:   "scope " + scope.Name,
					Detail: "gives attributes of a person without asking: it has no require_consent",
					Fix:    "require_consent in scope " + scope.Name + " of resource_server " + rs.Name,
				})
			}
		}
	}
	for i := range found {
		found[i].Part, found[i].Level = "configuration", Warning
	}
	return found
}

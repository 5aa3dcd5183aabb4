package tokeninject

import (
	"errors"
	"net/http"
)

// callback takes logins that come back to the one path that a foreign issuer knows (SessionConfig.Callback).
// Nothing else is there: the path is the gate's own, and no upstream sees it.
func (p *passage) callback() *Refusal {
	seen := p.e.cfg.Seen(p.r).URL
	if seen.Path != p.e.cfg.Session.Callback {
		return nil
	}
	if refusal := p.loginReturn(seen.RawQuery); refusal != nil {
		return refusal
	}
	return p.loginPage(http.StatusBadRequest, pageStale.to(p.pageBehind(nil)), errors.New("what came back is no answer to a login of this gate"))
}

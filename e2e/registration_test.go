package e2e

import "testing"

func startForRegistration(t *testing.T) *caddy {
	t.Helper()
	return start(t, read(t, "testdata", "registration.Caddyfile"), aliceHash(t))
}

func TestE11_OpenIDClientOfNode_RegistersItself(t *testing.T) {
	startForRegistration(t).node(t, "registration.mjs", "application", nil, nil)
}

func TestE11_A41_OpenIDClientOfNode_ClientsThatSignRegisterThemselves(t *testing.T) {
	startForRegistration(t).node(t, "registration.mjs", "signers", nil, nil)
}

func TestE11_C2_OpenIDClientOfNode_AnAdministratorManages(t *testing.T) {
	startForRegistration(t).node(t, "registration.mjs", "administrator", map[string]any{"secret": webSecret}, nil)
}

func TestG3_C10_ABrowserLetsThePagesOfARegisteredClientAsk(t *testing.T) {
	c := startForRegistration(t)
	c.node(t, "registration.mjs", "webPage", map[string]any{"secret": webSecret, "port": c.port["6274"]}, nil)
}

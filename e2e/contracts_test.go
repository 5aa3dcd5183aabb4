package e2e

import "testing"

// contracts runs one function of contracts.mjs.
func contracts(t *testing.T, name string) {
	t.Helper()
	start(t, read(t, "testdata", "contracts.Caddyfile"), aliceHash(t)).node(t, "contracts.mjs", name, nil, nil)
}

func TestE1_AnAuthenticatorAppIsSetUpAndAskedFor(t *testing.T) { contracts(t, "authenticatorApp") }

func TestE1_AnAuthenticatorAppIsSetUpInGermanWithoutScripts(t *testing.T) { contracts(t, "german") }

func TestW9_AGateAsksForASecondStep(t *testing.T) { contracts(t, "gate") }

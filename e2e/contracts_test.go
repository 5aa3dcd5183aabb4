package e2e

import "testing"

// contracts runs one function of contracts.mjs.
func contracts(t *testing.T, name string) {
	t.Helper()
	c := start(t, read(t, "testdata", "contracts.Caddyfile"), aliceHash(t))
	c.node(t, "contracts.mjs", name, map[string]any{"callback": "https://localhost:" + c.port["8445"] + "/callback"}, nil)
}

func TestE1_AnAuthenticatorAppIsSetUpAndAskedFor(t *testing.T) { contracts(t, "authenticatorApp") }

func TestE1_AnAuthenticatorAppIsSetUpInGermanWithoutScripts(t *testing.T) { contracts(t, "german") }

func TestE1_APasskeyIsSetUpAndAskedForInABrowser(t *testing.T) { contracts(t, "passkey") }

func TestE1_ASecondPasskeyAndARecoveryCode(t *testing.T) { contracts(t, "passkeys") }

func TestE1_ARecoveryCodeForAPasskeyInGermanWithoutScripts(t *testing.T) {
	contracts(t, "recoveryInGerman")
}

func TestW9_AGateAsksForASecondStep(t *testing.T) { contracts(t, "gate") }

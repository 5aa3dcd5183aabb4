package e2e

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "put the screenshots of README.md in docs")

// journey runs one function of journeys.mjs against the example.
func journey(t *testing.T, name string) {
	t.Helper()
	start(t, example(t)).node(t, "journeys.mjs", name, nil, nil)
}

func TestW5_TheWalkOfTheReadme(t *testing.T) {
	journey(t, "walk")
	if *update {
		for from, to := range map[string]string{"behind-light.png": "behind-the-gate.png", "login-light.png": "login.png"} {
			image := read(t, "..", ".build", "e2e", from)
			require.NoError(t, os.WriteFile(filepath.Join("..", "docs", to), []byte(image), 0o644))
		}
	}
}

func TestW5_SomebodyWithoutTheRoleSeesAPage(t *testing.T) { journey(t, "forbidden") }

func TestW5_DeclinedConsentEndsInAPageAndMayBeTriedAgain(t *testing.T) { journey(t, "decline") }

func TestA75_AWrongPasswordAndAnUnknownNameLookAlike(t *testing.T) { journey(t, "wrongPassword") }

func TestW5_TheBackButtonBreaksNothing(t *testing.T) { journey(t, "backButton") }

func TestW5_TwoTabsSignInAtOnce(t *testing.T) { journey(t, "twoTabs") }

func TestW5_ADeepLinkComesBackWithItsQuery(t *testing.T) { journey(t, "deepLink") }

func TestW5_A66_LogoutAtTheGateEndsBothSessions(t *testing.T) { journey(t, "logout") }

func TestW5_LogoutFromAnotherSiteAsksFirst(t *testing.T) { journey(t, "logoutFromElsewhere") }

func TestA68_AScriptWithoutSessionGets401(t *testing.T) { journey(t, "script") }

func TestG17_ARequestThatMayNotBeRedirectedEndsInAPage(t *testing.T) { journey(t, "errorPage") }

func TestPagesSpeakGerman(t *testing.T) { journey(t, "german") }

func TestPagesWorkByKeyboardAlone(t *testing.T) { journey(t, "keyboard") }

func TestPagesWorkWithoutScripts(t *testing.T) { journey(t, "withoutScripts") }

func TestExample_SingleSignOn(t *testing.T) {
	start(t, read(t, "..", "examples", "single-sign-on", "Caddyfile")).node(t, "journeys.mjs", "singleSignOn", nil, nil)
}

// A second site of the same Caddyfile, on another port of the same host name.
func TestW5_TwoGatesOnOneHostNameKeepTheirSessionsApart(t *testing.T) {
	source := example(t)
	from := strings.Index(source, "https://localhost:8444 {")
	to := strings.Index(source, "# The application behind the gate.")
	require.True(t, from > 0 && from < to, "the example has other sites than this test knows")
	c := start(t, source+strings.ReplaceAll(source[from:to], ":8444", ":8445"))
	c.node(t, "journeys.mjs", "twoGates", map[string]any{"other": "https://localhost:" + c.port["8445"]}, nil)
}

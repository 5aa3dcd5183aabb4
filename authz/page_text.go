package authz

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"golang.org/x/text/language"

	"github.com/gatewright/gatewright/authz/oauth"
)

// messageKey names one thing that a page has to tell a person; "" is nothing.
type messageKey string

// What pages tell.
const (
	msgWrongCredentials       messageKey = "wrong_credentials"
	msgWrongCode              messageKey = "wrong_code"
	msgWrongRecovery          messageKey = "wrong_recovery"
	msgNoPasskey              messageKey = "no_passkey"
	msgLocked                 messageKey = "locked"
	msgAccountDisabled        messageKey = "account_disabled"
	msgAccountLocked          messageKey = "account_locked"
	msgFactorLocked           messageKey = "factor_locked"
	msgAccountExpired         messageKey = "account_expired"
	msgPasswordExpired        messageKey = "password_expired"
	msgMustChange             messageKey = "must_change"
	msgNotNow                 messageKey = "not_now"
	msgDirectoryUnavailable   messageKey = "directory_unavailable"
	msgCookiesMissing         messageKey = "cookies_missing"
	msgExpired                messageKey = "expired"
	msgAlreadyUsed            messageKey = "already_used"
	msgUnknownClient          messageKey = "unknown_client"
	msgRedirectMismatch       messageKey = "redirect_mismatch"
	msgStranger               messageKey = "stranger"
	msgTooMany                messageKey = "too_many_requests"
	msgInvalidRequest         messageKey = "invalid_request"
	msgAccessDenied           messageKey = "access_denied"
	msgNotAllowed             messageKey = "not_allowed"
	msgServerError            messageKey = "server_error"
	msgTemporarilyUnavailable messageKey = "temporarily_unavailable"
	msgNothingHere            messageKey = "nothing_here"
)

// message says what happened (title) and what the person can do (text). "{wait}" in a text becomes a
// span of time.
type message struct{ Title, Text string }

// sentence is a text around something that the template marks up, such as a name.
type sentence struct{ Before, After string }

// words are all texts of the pages in one language.
type words struct {
	tag language.Tag

	ErrorPrefix                    string
	SignIn, Username, Password     string
	ContinueTo, ReturnTo           sentence
	Unverified                     string
	Policy, Terms, Contact, NewTab string

	CodeStepTitle, CodeStepLabel    string
	CodeStepHint                    string
	SigningInAs                     sentence
	EnrolTitle, EnrolText           string
	EnrolScan, EnrolPicture         string
	EnrolType, EnrolKey             string
	EnrolConfirm                    string
	RecoveryTitle, RecoveryText     string
	RecoveryKept                    string
	PasskeyTitle, PasskeyText       string
	PasskeyEnrolTitle               string
	PasskeyEnrolText                string
	PasskeyUse, PasskeyMake         string
	PasskeyScript                   string
	PasskeyFailed                   message
	PasskeyNotMade                  message
	PasskeyMore, PasskeyRecover     string
	PasskeyAlsoAnother              string
	RecoverTitle, RecoverHint       string
	RecoverFirst                    string
	EnrolFirst                      string
	PasskeyRecoveryText             string
	AnotherTitle, AnotherText       string
	AnotherSecond, AnotherNotNow    string
	AnotherLost, AnotherLostText    string
	AnotherForget                   string
	ConsentTitle                    string
	ConsentAsk, SignedInAs          sentence
	ScopesFixed, ScopesOptional     string
	Allow, Deny                     string
	LogoutTitle, LogoutApps         string
	Logout, Stay                    string
	LoggedOutTitle, LoggedOutText   string
	StayedTitle                     string
	Continue                        string
	CodeTitle, CodeLabel, CodeAlone string
	CodeFor                         sentence
	FormPostTitle, FormPostText     string
	Application, Reference          string
	Minute, Minutes, AWhile         string

	scopes   map[string]string
	messages map[messageKey]message
}

// languages in the order in which they are offered; the first one is spoken when nothing matches.
var languages = []*words{&english, &german}

var languageMatcher = language.NewMatcher([]language.Tag{english.tag, german.tag})

// maxLanguages bounds, in bytes, how much of a list of languages is read: nobody speaks more.
const maxLanguages = 512

// wordsFor picks the language of a page: the first of ui_locales (OpenID Connect Core §3.1.2.1) that
// there are words in, else by Accept-Language (RFC 9110 §12.5.4).
func wordsFor(uiLocales string, r *http.Request) *words {
	if len(uiLocales) <= maxLanguages {
		for name := range strings.FieldsSeq(uiLocales) {
			tag, err := language.Parse(name)
			if err != nil {
				continue
			}
			if _, i, confidence := languageMatcher.Match(tag); confidence != language.No {
				return languages[i]
			}
		}
	}
	if accept := r.Header.Get("Accept-Language"); len(accept) <= maxLanguages {
		if tags, _, err := language.ParseAcceptLanguage(accept); err == nil {
			_, i, _ := languageMatcher.Match(tags...)
			return languages[i]
		}
	}
	return languages[0]
}

// message finds the words for a key; wait is what is left of a pause, 0 when unknown.
func (w *words) message(key messageKey, wait time.Duration) message {
	m, known := w.messages[key]
	if !known {
		m = w.messages[msgServerError]
	}
	m.Text = strings.ReplaceAll(m.Text, "{wait}", w.span(wait))
	return m
}

// CodeHeading is what a page asks for that wants a code.
func (w *words) CodeHeading(v codeView) string {
	if v.Recover {
		return w.RecoverTitle
	}
	return w.CodeStepTitle
}

// AnotherHeading is what is most pressing for somebody who is offered another passkey.
func (w *words) AnotherHeading(v anotherView) string {
	switch {
	case v.Codes != nil:
		return w.RecoveryTitle
	case v.Lost:
		return w.AnotherLost
	}
	return w.AnotherTitle
}

// PasskeyHeading is the title of the page that asks for a passkey, or for making one.
func (w *words) PasskeyHeading(v passkeyView) string {
	if v.Enrol {
		return w.PasskeyEnrolTitle
	}
	return w.PasskeyTitle
}

// span puts a duration into words, in minutes rounded up, so that nobody comes back too early.
func (w *words) span(d time.Duration) string {
	switch minutes := int64((d + time.Minute - 1) / time.Minute); {
	case minutes <= 0:
		return w.AWhile
	case minutes == 1:
		return w.Minute
	default:
		return fmt.Sprintf(w.Minutes, minutes)
	}
}

// scopeText is the built-in description of a scope of OpenID Connect (Core §5.4, §11) in a language,
// "en" or "de".
func scopeText(name, lang string) (string, bool) {
	for _, w := range languages {
		if w.tag.String() == lang {
			text, known := w.scopes[name]
			return text, known
		}
	}
	return "", false
}

// messageFor is what to tell of an error when its place in the code has nothing better to say.
func messageFor(code oauth.Code) messageKey {
	switch code {
	case oauth.ServerError:
		return msgServerError
	case oauth.TemporarilyUnavailable:
		return msgTemporarilyUnavailable
	case oauth.AccessDenied:
		return msgAccessDenied
	case oauth.InvalidClient:
		return msgUnknownClient
	case oauth.UnauthorizedClient:
		return msgNotAllowed
	default:
		return msgInvalidRequest
	}
}

var english = words{
	tag:           language.English,
	ErrorPrefix:   "Error: ",
	SignIn:        "Sign in",
	Username:      "User name",
	Password:      "Password",
	ContinueTo:    sentence{"to continue to ", ""},
	ReturnTo:      sentence{"Afterwards you return to ", "."},
	Unverified:    "This application registered itself. Nobody here has checked who runs it.",
	Policy:        "Privacy policy",
	Terms:         "Terms of service",
	Contact:       "Contact:",
	NewTab:        "(opens in a new tab)",
	CodeStepTitle: "Enter a code",
	CodeStepLabel: "Code",
	CodeStepHint:  "Your authenticator app shows it. If you do not have the app at hand, enter one of your recovery codes.",
	SigningInAs:   sentence{"You are signing in as ", "."},
	EnrolTitle:    "Set up a second step",
	EnrolText:     "From now on, signing in here needs a code from an authenticator app as well. Set one up once; any app for one-time codes will do.",
	EnrolScan:     "1. Scan this picture with the app",
	EnrolPicture:  "QR code with the key below",
	EnrolType:     "Or type this key into the app:",
	EnrolKey:      "Key",
	EnrolConfirm:  "2. Enter the code that the app shows",
	RecoveryTitle: "Keep your recovery codes",
	RecoveryText:  "When you do not have your app, each of these codes signs you in once. Write them down or print them: they are not shown again.",
	RecoveryKept:  "I have kept them",
	PasskeyTitle:  "Use your passkey",
	PasskeyText:   "Your device, or your security key, confirms that it is you.",
	PasskeyUse:    "Use a passkey",

	PasskeyEnrolTitle: "Set up a passkey",
	PasskeyEnrolText:  "From now on, signing in here needs a passkey as well: your device, or a security key, confirms that it is you. Set one up once.",
	PasskeyMake:       "Set up a passkey",
	PasskeyScript:     "Passkeys need scripts. Allow them for this site, then load the page again.",
	PasskeyFailed:     message{"That did not work", "The passkey was not used: it took too long, was refused, or there is none for this site on this device. Try again."},
	PasskeyNotMade:    message{"That did not work", "No passkey was set up: it took too long, was refused, or this device has one for this site already. Try again."},
	PasskeyMore:       "More choices",
	PasskeyRecover:    "Use a recovery code",

	PasskeyAlsoAnother:  "Set up another passkey after this one",
	RecoverTitle:        "Enter a recovery code",
	RecoverHint:         "You were shown your recovery codes when you set up your passkey. Each works once.",
	EnrolFirst:          "You are signed in, but this needs a second step that you have not set up yet. To set it up, enter your password again.",
	RecoverFirst:        "Without your passkey you need your password and a recovery code.",
	PasskeyRecoveryText: "When you do not have your passkey, each of these codes signs you in once, after your password. Write them down or print them: they are not shown again.",
	AnotherTitle:        "Set up another passkey",
	AnotherText:         "If you lose the one you have, another one still signs you in. Use a second device, or a security key.",
	AnotherSecond:       "A second passkey",
	AnotherNotNow:       "Not now",
	AnotherLost:         "Set up a new passkey",
	AnotherLostText:     "You came in by a recovery code, which is used up now. With a new passkey on this device you need none the next time.",
	AnotherForget:       "Remove the passkeys I had: they are lost",

	ConsentTitle:   "Allow access?",
	ConsentAsk:     sentence{"", " asks for access to your account."},
	SignedInAs:     sentence{"You are signed in as ", "."},
	ScopesFixed:    "It asks for",
	ScopesOptional: "Only if you want",
	Allow:          "Allow",
	Deny:           "Deny",
	LogoutTitle:    "Sign out?",
	LogoutApps:     "This also ends your session with",
	Logout:         "Sign out",
	Stay:           "Stay signed in",
	LoggedOutTitle: "You are signed out",
	StayedTitle:    "You stay signed in",
	LoggedOutText:  "You can close this window now.",
	Continue:       "Continue",
	CodeTitle:      "Your code",
	CodeLabel:      "Code",
	CodeFor:        sentence{"Copy this code and paste it into ", "."},
	CodeAlone:      "It works once and only for a short time. Give it to nobody: who has it can sign in as you.",
	FormPostTitle:  "Almost there",
	FormPostText:   "Choose Continue to return to the application.",
	Application:    "Application:",
	Reference:      "If you ask for help, mention this reference:",
	Minute:         "1 minute",
	Minutes:        "%d minutes",
	AWhile:         "a few minutes",
	scopes: map[string]string{
		"openid":            "Know which account you sign in with",
		"profile":           "See your name and your profile",
		"registration.read": "See the applications that are registered here",
		"registration.full": "Register, change and delete applications here",
		"email":             "See your e-mail address",
		"address":           "See your postal address",
		"phone":             "See your phone number",
		"offline_access":    "Keep this access while you are away",
	},
	messages: map[messageKey]message{
		msgWrongCredentials: {
			"That did not work",
			"The user name or the password is wrong. Check both and try again.",
		},
		msgWrongCode: {
			"That code did not work",
			"A code works once and not for long. Check that the clock of your device is right, and enter the code that the app shows now.",
		},
		msgWrongRecovery: {
			"That code did not work",
			"A recovery code works once. Check what you typed, or enter another one of yours.",
		},
		msgNoPasskey: {
			"That passkey did not work",
			"It is not known here, or belongs to somebody else. Try again with another one, or ask those who manage your account.",
		},
		msgLocked: {
			"Too many attempts",
			"There were too many wrong attempts, so signing in is paused. Wait {wait}, then try again.",
		},
		msgAccountDisabled: {
			"This account cannot sign in",
			"The account is disabled. Ask those who manage your account.",
		},
		msgAccountLocked: {
			"This account is locked for now",
			"A wrong password was entered too often. Try again later, or ask those who manage your account.",
		},
		msgFactorLocked: {
			"Your second factor is locked",
			"It was entered wrongly too often. Ask those who manage your account to unlock it.",
		},
		msgAccountExpired: {
			"This account has expired",
			"Ask those who manage your account.",
		},
		msgPasswordExpired: {
			"Your password has expired",
			"Change it where you usually change your password, then sign in here.",
		},
		msgMustChange: {
			"Your password has to be changed first",
			"Change it where you usually change your password, then sign in here.",
		},
		msgNotNow: {
			"This account cannot sign in right now",
			"It may sign in at other times, or from other machines only. Ask those who manage your account.",
		},
		msgDirectoryUnavailable: {
			"Signing in is not possible right now",
			"The directory of users does not answer. Your password was not checked. Try again in a few minutes.",
		},
		msgCookiesMissing: {
			"This page belongs to another browser",
			"It was opened in another browser, or cookies are switched off. Allow cookies for this site, go back to the application and start again there.",
		},
		msgExpired: {
			"This page is too old",
			"It waited for too long. Go back to the application and start again there.",
		},
		msgAlreadyUsed: {
			"This step is already done",
			"The page was sent once before and does not work a second time. Go back to the application; if you are not signed in there, start again.",
		},
		msgUnknownClient: {
			"Unknown application",
			"The application that sent you here is not known to this server, or it was switched off. Tell those who run the application.",
		},
		msgRedirectMismatch: {
			"You cannot be sent back safely",
			"The application named an address that is not registered for it, so nothing was sent there. Tell those who run the application.",
		},
		msgStranger: {
			"This link leads to another site",
			"The application it belongs to registered itself here, and nobody has signed in to it yet. Continue only if you know the address below. If a message asked you to follow the link, close this page.",
		},
		msgTooMany: {
			"Too many requests",
			"This server gets more requests than it takes at the moment. Wait a little, then load the page again.",
		},
		msgInvalidRequest: {
			"The request is not valid",
			"The application asked in a way that this server does not understand. Go back and try again; if that does not help, tell those who run the application.",
		},
		msgAccessDenied: {
			"Access was denied",
			"Nothing was shared with the application. You can close this window, or go back to the application and start again.",
		},
		msgNotAllowed: {
			"Not allowed for this application",
			"You are signed in, but this application is not open to your account, or may not do what it asked for. Ask those who manage your account.",
		},
		msgServerError: {
			"Something went wrong here",
			"It is not your fault. Try again in a moment; if that does not help, ask those who run this server.",
		},
		msgTemporarilyUnavailable: {
			"Not available right now",
			"The server is starting or has too much to do. Try again in a few minutes.",
		},
		msgNothingHere: {
			"Nothing to do here",
			"Signing in starts at an application. Open the application you want to use; it sends you here when that is needed.",
		},
	},
}

var german = words{
	tag:           language.German,
	ErrorPrefix:   "Fehler: ",
	SignIn:        "Anmelden",
	Username:      "Benutzername",
	Password:      "Passwort",
	ContinueTo:    sentence{"und weiter zu ", ""},
	ReturnTo:      sentence{"Danach geht es zurück zu ", "."},
	Unverified:    "Diese Anwendung hat sich selbst registriert. Hier hat niemand geprüft, wer sie betreibt.",
	Policy:        "Datenschutzerklärung",
	Terms:         "Nutzungsbedingungen",
	Contact:       "Kontakt:",
	NewTab:        "(öffnet einen neuen Tab)",
	CodeStepTitle: "Code eingeben",
	CodeStepLabel: "Code",
	CodeStepHint:  "Ihre Authenticator-App zeigt ihn an. Wenn Sie die App nicht zur Hand haben, geben Sie einen Ihrer Wiederherstellungscodes ein.",
	SigningInAs:   sentence{"Sie melden sich an als ", "."},
	EnrolTitle:    "Zweiten Schritt einrichten",
	EnrolText:     "Ab jetzt braucht die Anmeldung hier auch einen Code aus einer Authenticator-App. Richten Sie einmal eine ein; jede App für Einmalcodes eignet sich.",
	EnrolScan:     "1. Scannen Sie dieses Bild mit der App",
	EnrolPicture:  "QR-Code mit dem Schlüssel darunter",
	EnrolType:     "Oder tippen Sie diesen Schlüssel in die App:",
	EnrolKey:      "Schlüssel",
	EnrolConfirm:  "2. Geben Sie den Code ein, den die App anzeigt",
	RecoveryTitle: "Bewahren Sie Ihre Wiederherstellungscodes auf",
	RecoveryText:  "Wenn Sie Ihre App nicht haben, meldet Sie jeder dieser Codes einmal an. Schreiben Sie sie auf oder drucken Sie sie: Sie werden nicht noch einmal gezeigt.",
	RecoveryKept:  "Ich habe sie aufbewahrt",
	PasskeyTitle:  "Passkey verwenden",
	PasskeyText:   "Ihr Gerät oder Ihr Sicherheitsschlüssel bestätigt, dass Sie es sind.",
	PasskeyUse:    "Passkey verwenden",

	PasskeyEnrolTitle: "Passkey einrichten",
	PasskeyEnrolText:  "Ab jetzt braucht die Anmeldung hier auch einen Passkey: Ihr Gerät oder ein Sicherheitsschlüssel bestätigt, dass Sie es sind. Richten Sie einmal einen ein.",
	PasskeyMake:       "Passkey einrichten",
	PasskeyScript:     "Passkeys brauchen Skripte. Erlauben Sie sie für diese Seite und laden Sie die Seite neu.",
	PasskeyFailed:     message{"Das hat nicht geklappt", "Der Passkey wurde nicht verwendet: Es hat zu lange gedauert, wurde abgelehnt, oder auf diesem Gerät gibt es keinen für diese Seite. Versuchen Sie es noch einmal."},
	PasskeyNotMade:    message{"Das hat nicht geklappt", "Es wurde kein Passkey eingerichtet: Es hat zu lange gedauert, wurde abgelehnt, oder dieses Gerät hat schon einen für diese Seite. Versuchen Sie es noch einmal."},
	PasskeyMore:       "Weitere Möglichkeiten",
	PasskeyRecover:    "Wiederherstellungscode verwenden",

	PasskeyAlsoAnother:  "Danach noch einen Passkey einrichten",
	RecoverTitle:        "Wiederherstellungscode eingeben",
	RecoverHint:         "Ihre Wiederherstellungscodes wurden Ihnen gezeigt, als Sie Ihren Passkey eingerichtet haben. Jeder gilt einmal.",
	EnrolFirst:          "Sie sind angemeldet, aber hier ist ein zweiter Schritt nötig, den Sie noch nicht eingerichtet haben. Geben Sie dafür noch einmal Ihr Passwort ein.",
	RecoverFirst:        "Ohne Ihren Passkey brauchen Sie Ihr Passwort und einen Wiederherstellungscode.",
	PasskeyRecoveryText: "Wenn Sie Ihren Passkey nicht haben, meldet Sie jeder dieser Codes nach Ihrem Passwort einmal an. Schreiben Sie sie auf oder drucken Sie sie: Sie werden nicht noch einmal gezeigt.",
	AnotherTitle:        "Noch einen Passkey einrichten",
	AnotherText:         "Wenn Sie den verlieren, den Sie haben, meldet Sie der andere immer noch an. Nehmen Sie ein zweites Gerät oder einen Sicherheitsschlüssel.",
	AnotherSecond:       "Ein zweiter Passkey",
	AnotherNotNow:       "Jetzt nicht",
	AnotherLost:         "Neuen Passkey einrichten",
	AnotherLostText:     "Sie haben sich mit einem Wiederherstellungscode angemeldet, der nun verbraucht ist. Mit einem neuen Passkey auf diesem Gerät brauchen Sie beim nächsten Mal keinen.",
	AnotherForget:       "Meine bisherigen Passkeys entfernen: Sie sind verloren",

	ConsentTitle:   "Zugriff erlauben?",
	ConsentAsk:     sentence{"", " bittet um Zugriff auf Ihr Konto."},
	SignedInAs:     sentence{"Sie sind angemeldet als ", "."},
	ScopesFixed:    "Darum bittet sie",
	ScopesOptional: "Nur wenn Sie möchten",
	Allow:          "Erlauben",
	Deny:           "Ablehnen",
	LogoutTitle:    "Abmelden?",
	LogoutApps:     "Das beendet auch Ihre Sitzung bei",
	Logout:         "Abmelden",
	Stay:           "Angemeldet bleiben",
	LoggedOutTitle: "Sie sind abgemeldet",
	StayedTitle:    "Sie bleiben angemeldet",
	LoggedOutText:  "Sie können dieses Fenster jetzt schließen.",
	Continue:       "Weiter",
	CodeTitle:      "Ihr Code",
	CodeLabel:      "Code",
	CodeFor:        sentence{"Kopieren Sie diesen Code und fügen Sie ihn in ", " ein."},
	CodeAlone:      "Er gilt einmal und nur kurze Zeit. Geben Sie ihn niemandem: Wer ihn hat, kann sich als Sie anmelden.",
	FormPostTitle:  "Fast fertig",
	FormPostText:   "Mit „Weiter“ kehren Sie zur Anwendung zurück.",
	Application:    "Anwendung:",
	Reference:      "Wenn Sie um Hilfe bitten, nennen Sie diese Kennung:",
	Minute:         "1 Minute",
	Minutes:        "%d Minuten",
	AWhile:         "einige Minuten",
	scopes: map[string]string{
		"openid":            "Wissen, mit welchem Konto Sie sich anmelden",
		"profile":           "Ihren Namen und Ihr Profil sehen",
		"registration.read": "Die Anwendungen sehen, die hier registriert sind",
		"registration.full": "Anwendungen hier registrieren, ändern und löschen",
		"email":             "Ihre E-Mail-Adresse sehen",
		"address":           "Ihre Postanschrift sehen",
		"phone":             "Ihre Telefonnummer sehen",
		"offline_access":    "Diesen Zugriff behalten, während Sie nicht da sind",
	},
	messages: map[messageKey]message{
		msgWrongCredentials: {
			"Das hat nicht geklappt",
			"Benutzername oder Passwort ist falsch. Prüfen Sie beides und versuchen Sie es noch einmal.",
		},
		msgWrongCode: {
			"Dieser Code gilt nicht",
			"Ein Code gilt einmal und nicht lange. Prüfen Sie, ob die Uhr Ihres Geräts richtig geht, und geben Sie den Code ein, den die App jetzt zeigt.",
		},
		msgWrongRecovery: {
			"Dieser Code gilt nicht",
			"Ein Wiederherstellungscode gilt einmal. Prüfen Sie Ihre Eingabe, oder geben Sie einen anderen Ihrer Codes ein.",
		},
		msgNoPasskey: {
			"Dieser Passkey gilt nicht",
			"Er ist hier nicht bekannt oder gehört jemand anderem. Versuchen Sie es mit einem anderen, oder wenden Sie sich an die Stelle, die Ihr Konto verwaltet.",
		},
		msgLocked: {
			"Zu viele Versuche",
			"Es gab zu viele falsche Versuche, deshalb ist die Anmeldung angehalten. Warten Sie {wait} und versuchen Sie es dann wieder.",
		},
		msgAccountDisabled: {
			"Dieses Konto kann sich nicht anmelden",
			"Das Konto ist deaktiviert. Wenden Sie sich an die Stelle, die Ihr Konto verwaltet.",
		},
		msgAccountLocked: {
			"Dieses Konto ist vorübergehend gesperrt",
			"Es wurde zu oft ein falsches Passwort eingegeben. Versuchen Sie es später erneut, oder wenden Sie sich an die Stelle, die Ihr Konto verwaltet.",
		},
		msgFactorLocked: {
			"Ihr zweiter Faktor ist gesperrt",
			"Er wurde zu oft falsch eingegeben. Bitten Sie die Stelle, die Ihr Konto verwaltet, ihn zu entsperren.",
		},
		msgAccountExpired: {
			"Dieses Konto ist abgelaufen",
			"Wenden Sie sich an die Stelle, die Ihr Konto verwaltet.",
		},
		msgPasswordExpired: {
			"Ihr Passwort ist abgelaufen",
			"Ändern Sie es dort, wo Sie Ihr Passwort sonst ändern, und melden Sie sich dann hier an.",
		},
		msgMustChange: {
			"Ihr Passwort muss erst geändert werden",
			"Ändern Sie es dort, wo Sie Ihr Passwort sonst ändern, und melden Sie sich dann hier an.",
		},
		msgNotNow: {
			"Dieses Konto kann sich gerade nicht anmelden",
			"Es darf sich nur zu anderen Zeiten oder von anderen Rechnern aus anmelden. Wenden Sie sich an die Stelle, die Ihr Konto verwaltet.",
		},
		msgDirectoryUnavailable: {
			"Die Anmeldung ist gerade nicht möglich",
			"Das Benutzerverzeichnis antwortet nicht. Ihr Passwort wurde nicht geprüft. Versuchen Sie es in einigen Minuten wieder.",
		},
		msgCookiesMissing: {
			"Diese Seite gehört zu einem anderen Browser",
			"Sie wurde in einem anderen Browser geöffnet, oder Cookies sind ausgeschaltet. Erlauben Sie Cookies für diese Seite, gehen Sie zur Anwendung zurück und beginnen Sie dort neu.",
		},
		msgExpired: {
			"Diese Seite ist zu alt",
			"Sie war zu lange offen. Gehen Sie zur Anwendung zurück und beginnen Sie dort neu.",
		},
		msgAlreadyUsed: {
			"Dieser Schritt ist schon erledigt",
			"Die Seite wurde schon einmal abgeschickt und gilt kein zweites Mal. Gehen Sie zur Anwendung zurück; sind Sie dort nicht angemeldet, beginnen Sie neu.",
		},
		msgUnknownClient: {
			"Unbekannte Anwendung",
			"Die Anwendung, die Sie hierher geschickt hat, ist diesem Server nicht bekannt oder wurde abgeschaltet. Sagen Sie es denen, die die Anwendung betreiben.",
		},
		msgRedirectMismatch: {
			"Der Rückweg ist nicht sicher",
			"Die Anwendung hat eine Adresse genannt, die nicht für sie registriert ist; dorthin wurde nichts geschickt. Sagen Sie es denen, die die Anwendung betreiben.",
		},
		msgStranger: {
			"Dieser Link führt zu einer anderen Website",
			"Die Anwendung, zu der er gehört, hat sich hier selbst registriert, und noch niemand hat sich bei ihr angemeldet. Fahren Sie nur fort, wenn Sie die Adresse unten kennen. Wenn eine Nachricht Sie zu diesem Link aufforderte, schließen Sie diese Seite.",
		},
		msgTooMany: {
			"Zu viele Anfragen",
			"Bei diesem Server kommen gerade mehr Anfragen an, als er annimmt. Warten Sie einen Augenblick und laden Sie die Seite dann neu.",
		},
		msgInvalidRequest: {
			"Die Anfrage ist nicht gültig",
			"Die Anwendung hat auf eine Weise gefragt, die dieser Server nicht versteht. Gehen Sie zurück und versuchen Sie es noch einmal; hilft das nicht, sagen Sie es denen, die die Anwendung betreiben.",
		},
		msgAccessDenied: {
			"Der Zugriff wurde abgelehnt",
			"Die Anwendung hat nichts erhalten. Sie können dieses Fenster schließen oder zur Anwendung zurückgehen und neu beginnen.",
		},
		msgNotAllowed: {
			"Für diese Anwendung nicht zugelassen",
			"Sie sind angemeldet, aber diese Anwendung ist für Ihr Konto nicht freigegeben oder darf nicht, worum sie bat. Wenden Sie sich an die Stelle, die Ihr Konto verwaltet.",
		},
		msgServerError: {
			"Hier ist etwas schiefgegangen",
			"Es liegt nicht an Ihnen. Versuchen Sie es gleich noch einmal; hilft das nicht, wenden Sie sich an die Betreiber dieses Servers.",
		},
		msgTemporarilyUnavailable: {
			"Gerade nicht verfügbar",
			"Der Server startet noch oder hat zu viel zu tun. Versuchen Sie es in einigen Minuten wieder.",
		},
		msgNothingHere: {
			"Hier gibt es nichts zu tun",
			"Eine Anmeldung beginnt bei einer Anwendung. Öffnen Sie die Anwendung, die Sie benutzen möchten; sie schickt Sie hierher, wenn es nötig ist.",
		},
	},
}

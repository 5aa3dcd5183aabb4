package tokeninject

import (
	"encoding/json"
	"html/template"
	"maps"
	"net/http"
	"strconv"
	"strings"

	"go.uber.org/zap"

	_ "embed" // the page and its style
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageStyle string

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// page is what a person is shown. Title, text, button and label are in English and keys of German.
type page struct {
	id, title, text string
	button, action  string // a form and where it goes; "" for the page itself
	label, link     string // a way on; the label is textAgain where there is none
}

// to is the page with a way on.
func (c page) to(link string) page {
	c.link = link
	return c
}

// The pages of the gate.
var (
	pageCookies = page{
		id: "error", title: "Your browser keeps no cookies",
		text: "You have signed in, but your browser did not keep the cookie that says so. Allow cookies for this site, then open the page again.",
	}
	pageLoop = page{
		id: "error", title: "Signing in does not help",
		text: "You have signed in several times, but this page can't be opened with it. Try again later, or tell whoever runs it.",
	}
	pageDenied = page{
		id: "error", title: "You were not signed in",
		text: "The sign-in was cancelled or refused. You can try again.",
	}
	pageFailed = page{
		id: "error", title: "Signing in did not work",
		text: "Something went wrong between this site and the sign-in server. You can try again.",
	}
	pageStale = page{
		id: "error", title: "This sign-in is over",
		text:  "It took too long, or it was done already. You can go on to the page.",
		label: textOn,
	}
	pageHost = page{
		id: "error", title: "You can't sign in at this address",
		text: "This site does not know the address that you opened it at. Open it at its usual address, or tell whoever runs it.",
	}
	pageForbidden = page{
		id: "error", title: "This page is not open to you",
		text: "You are signed in, but you may not see this page. Ask whoever runs it for access.",
	}
	pageUnknown = page{
		id: "error", title: "Please sign in",
		text: "This page needs you to be signed in. Open it again from the start.",
	}
	pagePrograms = page{
		id: "error", title: "This address is for programs",
		text: "Applications come here with an access token. There is nothing to see in a browser.",
	}
	pageBusy = page{
		id: "error", title: "Too many sign-ins",
		text: "There were too many sign-ins. Wait a moment, then open the page again.",
	}
	pageDown = page{
		id: "error", title: "Not available right now",
		text: "We can't check at the moment whether you may see this page. Try again in a few minutes.",
	}
	pageBad = page{
		id: "error", title: "That did not work",
		text: "The request can't be answered as it was sent.",
	}
	pageLogout = page{
		id: "logout", title: "Sign out?",
		text: "You are about to sign out of this site and of the sign-in server.", button: "Sign out", action: "?",
	}
	pageLoggedOut = page{
		id: "logged-out", title: "You are signed out",
		text:  "You are signed out of this site and of the sign-in server. You can close this window.",
		label: textBack, link: "/",
	}
	pageOutHere = page{
		id: "logged-out", title: "You are signed out of this site",
		text:  "At the sign-in server you may still be signed in.",
		label: textBack, link: "/",
	}
	pageOnward = page{
		id: "logged-out", title: "You are signed out",
		text:  "The next page opens by itself.",
		label: textOn,
	}
	pageHalfOut = page{
		id: "error", title: "You are signed out of this site only",
		text: "The sign-in server could not be reached, so you may still be signed in there.",
	}
)

// german has the pages' texts in German.
var german = map[string]string{
	pageCookies.title:   "Ihr Browser speichert keine Cookies",
	pageCookies.text:    "Sie haben sich angemeldet, aber Ihr Browser hat das Cookie dazu nicht behalten. Erlauben Sie Cookies für diese Seite und öffnen Sie sie dann noch einmal.",
	pageLoop.title:      "Anmelden hilft hier nicht",
	pageLoop.text:       "Sie haben sich mehrmals angemeldet, und die Seite lässt sich damit nicht öffnen. Versuchen Sie es später noch einmal, oder sagen Sie dem Betreiber Bescheid.",
	pageDenied.title:    "Sie wurden nicht angemeldet",
	pageDenied.text:     "Die Anmeldung wurde abgebrochen oder abgelehnt. Sie können es noch einmal versuchen.",
	pageFailed.title:    "Die Anmeldung hat nicht geklappt",
	pageFailed.text:     "Zwischen dieser Seite und dem Anmeldeserver ging etwas schief. Sie können es noch einmal versuchen.",
	pageStale.title:     "Diese Anmeldung ist vorbei",
	pageStale.text:      "Sie hat zu lange gedauert oder war schon erledigt. Sie können zur Seite weitergehen.",
	pageHost.title:      "Unter dieser Adresse geht das Anmelden nicht",
	pageHost.text:       "Die Seite kennt die Adresse nicht, unter der Sie sie geöffnet haben. Öffnen Sie sie unter ihrer gewohnten Adresse, oder sagen Sie dem Betreiber Bescheid.",
	pageForbidden.title: "Diese Seite steht Ihnen nicht offen",
	pageForbidden.text:  "Sie sind angemeldet, dürfen diese Seite aber nicht sehen. Bitten Sie den Betreiber um Zugang.",
	pageUnknown.title:   "Bitte melden Sie sich an",
	pageUnknown.text:    "Für diese Seite müssen Sie angemeldet sein. Öffnen Sie sie noch einmal von vorn.",
	pagePrograms.title:  "Diese Adresse ist für Programme",
	pagePrograms.text:   "Anwendungen kommen mit einem Zugriffstoken hierher. Im Browser gibt es nichts zu sehen.",
	pageBusy.title:      "Zu viele Anmeldungen",
	pageBusy.text:       "Es gab zu viele Anmeldungen. Warten Sie einen Moment und öffnen Sie die Seite dann noch einmal.",
	pageDown.title:      "Zurzeit nicht verfügbar",
	pageDown.text:       "Wir können gerade nicht prüfen, ob Sie diese Seite sehen dürfen. Versuchen Sie es in einigen Minuten noch einmal.",
	pageBad.title:       "Das hat nicht geklappt",
	pageBad.text:        "Die Anfrage kann so nicht beantwortet werden.",
	pageLogout.title:    "Abmelden?",
	pageLogout.text:     "Sie sind dabei, sich von dieser Seite und vom Anmeldeserver abzumelden.",
	pageLogout.button:   "Abmelden",
	pageLoggedOut.title: "Sie sind abgemeldet",
	pageLoggedOut.text:  "Sie sind von dieser Seite und vom Anmeldeserver abgemeldet. Sie können das Fenster schließen.",
	pageOutHere.title:   "Sie sind von dieser Seite abgemeldet",
	pageOutHere.text:    "Am Anmeldeserver sind Sie vielleicht noch angemeldet.",
	pageOnward.text:     "Die nächste Seite öffnet sich von selbst.",
	pageHalfOut.title:   "Sie sind nur von dieser Seite abgemeldet",
	pageHalfOut.text:    "Der Anmeldeserver war nicht erreichbar. Vielleicht sind Sie dort noch angemeldet.",
	textOn:              "Weiter zur Seite",
	textAgain:           "Noch einmal versuchen",
	textBack:            "Zurück zur Seite",
	textOther:           "Als jemand anderes anmelden",
	textReference:       "Kennung für Rückfragen:",
}

const (
	textAgain     = "Try again"
	textOn        = "Go on to the page"
	textBack      = "Back to the site"
	textOther     = "Sign in as somebody else"
	textReference = "Reference, if you ask for help:"
)

// pageOf picks the page for a refusal that has none of its own.
func pageOf(refusal *Refusal) page {
	if refusal.page.id != "" {
		return refusal.page
	}
	switch refusal.Status {
	case http.StatusUnauthorized:
		return pageUnknown
	case http.StatusForbidden:
		return pageForbidden
	case http.StatusTooManyRequests:
		return pageBusy
	case http.StatusServiceUnavailable:
		return pageDown
	}
	return pageBad
}

// Deny answers a request that may not pass: with a page for a person, with a small JSON object for
// everything else.
func (e *Enforcer) Deny(w http.ResponseWriter, r *http.Request, refusal *Refusal) {
	header := w.Header()
	maps.Copy(header, refusal.Header)
	if refusal.Navigation {
		e.writeReference(w, r, refusal.Status, pageOf(refusal), refusal.Reference)
		return
	}
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Type", "application/json")
	header.Set("X-Content-Type-Options", "nosniff")
	code := string(refusal.Err.Code)
	if refusal.bare {
		code = ""
	}
	body, err := json.Marshal(struct {
		Code        string `json:"error,omitempty"`
		Description string `json:"error_description,omitempty"`
		Reference   string `json:"reference,omitempty"`
	}{code, refusal.Err.Description, refusal.Reference})
	if err != nil {
		e.cfg.Logger.Error("a refusal could not be written", zap.Error(err))
	}
	e.write(w, r, refusal.Status, body)
}

func (e *Enforcer) writePage(w http.ResponseWriter, r *http.Request, status int, content page) {
	e.writeReference(w, r, status, content, "")
}

func (e *Enforcer) writeReference(w http.ResponseWriter, r *http.Request, status int, content page, reference string) {
	lang, translate := "en", func(text string) string { return text }
	if wantsGerman(r.Header.Get("Accept-Language")) {
		lang, translate = "de", func(text string) string { return german[text] }
	}
	label := content.label
	if label == "" {
		label = textAgain
	}
	var body strings.Builder
	err := pageTemplate.Execute(&body, map[string]any{
		"Lang": lang, "ID": content.id, "Title": translate(content.title), "Text": translate(content.text),
		"Button": translate(content.button), "Action": content.action, "Link": content.link, "Label": translate(label),
		"Reference": reference, "ReferenceLabel": translate(textReference),
		"Brand": e.look.brand, "Style": e.look.style,
	})
	if err != nil {
		e.cfg.Logger.Error("a page could not be written", zap.Error(err))
	}
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Language", lang)
	header.Set("Content-Security-Policy", e.look.policy)
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	e.write(w, r, status, []byte(body.String()))
}

func (e *Enforcer) write(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return
	}
	if _, err := w.Write(body); err != nil {
		e.cfg.Logger.Debug("an answer did not reach the client", zap.Error(err))
	}
}

// wantsGerman tells whether the first language of the list that we speak is German.
func wantsGerman(accept string) bool {
	for language := range strings.SplitSeq(accept, ",") {
		tag, _, _ := strings.Cut(strings.TrimSpace(language), ";")
		switch primary, _, _ := strings.Cut(strings.ToLower(tag), "-"); primary {
		case "de":
			return true
		case "en":
			return false
		}
	}
	return false
}

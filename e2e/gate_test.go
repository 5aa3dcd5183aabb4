package e2e

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// arrived is a request as a backend saw it.
type arrived struct {
	Method   string      `json:"method"`
	URL      string      `json:"url"`
	Body     string      `json:"body"`
	Headers  [][2]string `json:"headers"`
	Trailers [][2]string `json:"trailers"`
}

// values are those of a header, in any spelling that CGI takes for the same.
func (a arrived) values(name string) (all []string) {
	cgi := strings.NewReplacer("-", "_", ".", "_")
	for _, header := range a.Headers {
		if strings.EqualFold(cgi.Replace(header[0]), cgi.Replace(name)) {
			all = append(all, header[1])
		}
	}
	return all
}

// siege is a gate before a backend, for requests that no client library would send.
type siege struct {
	*caddy
	prefix string // of the backend's paths
	port   string // of the backend
	token  string
}

// besiege runs testdata/gate.Caddyfile before both backends, and a test for each.
func besiege(t *testing.T, test func(t *testing.T, s *siege)) {
	t.Helper()
	c := start(t, read(t, "testdata", "gate.Caddyfile"), "PEOPLE="+people(t))
	serveGo(t, "127.0.0.1:"+c.port["9000"])
	launch(t, exec.Command("node", "upstream.mjs", c.port["8445"]), func() bool { return listens(c.port["8445"]) })
	token := serviceToken(t, c)
	for prefix, port := range map[string]string{"/go": "9000", "/node": "8445"} {
		t.Run(prefix[1:], func(t *testing.T) { test(t, &siege{caddy: c, prefix: prefix, port: c.port[port], token: token}) })
	}
}

// groups of the people of people.
var groups = map[string][]string{
	"zoe":     {"ops,admins", "Zoë;x=1", "100%", `say "hi"`},
	"crlf":    {"ops", "ops\r\nX-Admin: yes"},
	"newline": {"ops\nX-Admin: yes"},
	"return":  {"ops\rX-Admin: yes"},
	"nul":     {"ops\x00admins"},
	"delete":  {"ops\x7f"},
}

// people writes a file of users whose names of groups are not harmless.
func people(t *testing.T) string {
	t.Helper()
	hash := strings.TrimPrefix(aliceHash(t), "ALICE_HASH=")
	all := []map[string]any{}
	for name, list := range groups {
		all = append(all, map[string]any{"name": name, "password": hash, "attribute": map[string]any{"group": list}})
	}
	document, err := json.Marshal(map[string]any{"user": all})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "people.json")
	require.NoError(t, os.WriteFile(file, document, 0o600))
	return file
}

func listens(port string) bool {
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	return err == nil && conn.Close() == nil
}

// serveGo is what upstream.mjs is, by Go's net/http.
func serveGo(t *testing.T, address string) {
	t.Helper()
	var mu sync.Mutex
	seen := []arrived{}
	server := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path == "/seen" {
			_ = json.NewEncoder(w).Encode(seen)
			seen = []arrived{}
			return
		}
		body, _ := io.ReadAll(r.Body)
		a := arrived{Method: r.Method, URL: r.RequestURI, Body: string(body)}
		for headers, list := range map[*http.Header]*[][2]string{&r.Header: &a.Headers, &r.Trailer: &a.Trailers} {
			for name, values := range *headers {
				for _, value := range values {
					*list = append(*list, [2]string{name, value})
				}
			}
		}
		seen = append(seen, a)
		_, _ = fmt.Fprintf(w, "user=%s", r.Header.Get("X-Remote-User"))
	})}
	listener, err := net.Listen("tcp", address)
	require.NoError(t, err)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { require.NoError(t, server.Close()) })
}

// seen is what arrived at the backend since it was last asked.
func (s *siege) seen(t *testing.T) (all []arrived) {
	t.Helper()
	answer := get(t, http.DefaultClient, "http://127.0.0.1:"+s.port+"/seen")
	require.NoError(t, json.Unmarshal(answer.body, &all))
	return all
}

// one is the only request that arrived.
func (s *siege) one(t *testing.T) arrived {
	t.Helper()
	all := s.seen(t)
	require.Len(t, all, 1)
	return all[0]
}

// dial opens a connection to the gate, for the protocol.
func (s *siege) dial(t *testing.T, protocol string) *tls.Conn {
	t.Helper()
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM([]byte(read(t, s.rootFile()))))
	conn, err := tls.Dial("tcp", "127.0.0.1:"+s.caddy.port["8444"], &tls.Config{RootCAs: roots, ServerName: "localhost", NextProtos: []string{protocol}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	return conn
}

// raw sends bytes over HTTP/1.1, with PREFIX, HOST and TOKEN replaced, and returns the status of every answer.
func (s *siege) raw(t *testing.T, request string) (statuses []int) {
	t.Helper()
	request = strings.NewReplacer("PREFIX", s.prefix, "HOST", "localhost:"+s.caddy.port["8444"], "TOKEN", s.token, "\n", "\r\n").Replace(request)
	conn := s.dial(t, "http/1.1")
	_, err := io.WriteString(conn, request)
	require.NoError(t, err)
	reader := bufio.NewReader(conn)
	for {
		resp, err := http.ReadResponse(reader, nil)
		if err != nil {
			return statuses
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		statuses = append(statuses, resp.StatusCode)
		if resp.Close {
			return statuses
		}
	}
}

// h2 sends one request over HTTP/2, its header as pairs, and returns the answer's status; 0 where the stream was reset.
func (s *siege) h2(t *testing.T, body string, trailers []string, header ...string) (status string) {
	t.Helper()
	conn := s.dial(t, "h2")
	_, err := io.WriteString(conn, http2.ClientPreface)
	require.NoError(t, err)
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	require.NoError(t, framer.WriteSettings())
	encode := func(pairs []string) []byte {
		var block strings.Builder
		encoder := hpack.NewEncoder(&block)
		for i := 0; i < len(pairs); i += 2 {
			require.NoError(t, encoder.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]}))
		}
		return []byte(block.String())
	}
	require.NoError(t, framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: 1, BlockFragment: encode(header), EndHeaders: true, EndStream: body == "" && trailers == nil,
	}))
	if body != "" {
		require.NoError(t, framer.WriteData(1, trailers == nil, []byte(body)))
	}
	if trailers != nil {
		require.NoError(t, framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: encode(trailers), EndHeaders: true, EndStream: true}))
	}
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return ""
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			return f.PseudoValue("status")
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return ""
		}
	}
}

// request is the pseudo-header of a GET over HTTP/2, and a token.
func (s *siege) request(path string) []string {
	return []string{
		":method", "GET", ":scheme", "https", ":authority", "localhost:" + s.caddy.port["8444"], ":path", s.prefix + path,
		"authorization", "Bearer " + s.token,
	}
}

const bearerHead = "Host: HOST\nConnection: close\nAuthorization: Bearer TOKEN\n"

// spellings of an injected header that some backend takes for it.
var spellings = []string{
	"X-Remote-User", "x_remote_user", "X.Remote.User", "X-REMOTE-USER", "X_Remote-User", "x-remote--user", "X%2DRemote-User", "X-Remote-User-",
}

func TestA56_NoSpellingOfAnInjectedHeaderGetsThrough(t *testing.T) {
	besiege(t, func(t *testing.T, s *siege) {
		head := ""
		pairs := s.request("/x")
		for _, spelling := range spellings {
			head += spelling + ": mallory\n"
			pairs = append(pairs, strings.ToLower(spelling), "mallory")
		}
		require.Equal(t, []int{200}, s.raw(t, "GET PREFIX/x HTTP/1.1\n"+bearerHead+head+"X-Empty: mallory\nX_Empty: mallory\n\n"))
		got := s.one(t)
		require.Equal(t, []string{"robot"}, got.values("X-Remote-User"))
		for _, header := range got.Headers {
			require.NotContains(t, header[1], "mallory", header[0])
		}
		require.Equal(t, "200", s.h2(t, "", nil, pairs...))
		for _, header := range s.one(t).Headers {
			require.NotContains(t, header[1], "mallory", header[0])
		}
		require.Equal(t, []int{400}, s.raw(t, "GET PREFIX/x HTTP/1.1\n"+bearerHead+"X-Remote-User : mallory\n\n"))
		require.Equal(t, []int{400}, s.raw(t, "GET PREFIX/x HTTP/1.1\n"+bearerHead+" X-Remote-User: mallory\n\n"))
		require.Empty(t, s.h2(t, "", nil, append(s.request("/x"), "X-Remote-User", "mallory")...), "RFC 9113 §8.2.1: no capital letters")
		require.Empty(t, s.seen(t))
	})
}

func TestA56_NeitherConnectionNorTrailersUndoAnInjection(t *testing.T) {
	besiege(t, func(t *testing.T, s *siege) {
		require.Equal(t, []int{200}, s.raw(t, "GET PREFIX/x HTTP/1.1\nHost: HOST\nConnection: close, X-Remote-User, Authorization\nConnection: x_remote_user, cookie\nAuthorization: Bearer TOKEN\n\n"))
		got := s.one(t)
		require.Equal(t, []string{"robot"}, got.values("X-Remote-User"))
		require.Equal(t, []string{"who=robot"}, got.values("Cookie"))
		require.Len(t, got.values("Authorization"), 1)

		require.Equal(t, []int{200}, s.raw(t, "POST PREFIX/x HTTP/1.1\n"+bearerHead+"Transfer-Encoding: chunked\nTE: trailers\nTrailer: X-Remote-User\n\n5\nhello\n0\nX-Remote-User: mallory\nx_remote_user: mallory\n\n"))
		got = s.one(t)
		require.Equal(t, "hello", got.Body)
		require.Equal(t, []string{"robot"}, got.values("X-Remote-User"))
		require.Empty(t, got.Trailers)

		pairs := s.request("/x")
		pairs[1] = "POST"
		require.Equal(t, "200", s.h2(t, "hello", []string{"x-remote-user", "mallory"}, append(pairs, "te", "trailers", "trailer", "x-remote-user")...))
		got = s.one(t)
		require.Equal(t, []string{"robot"}, got.values("X-Remote-User"))
		require.Empty(t, got.Trailers)
	})
}

func TestA57_NoValueSplitsAHeaderOrAddsAGroup(t *testing.T) {
	besiege(t, func(t *testing.T, s *siege) {
		for name := range groups {
			s.token = post(t, s.caddy, "/token", "shop", shopSecret, "grant_type", "password", "username", name, "password", password, "scope", "orders.read").tokens(t).AccessToken
			statuses := s.raw(t, "GET PREFIX/x HTTP/1.1\n"+bearerHead+"\n")
			if name != "zoe" {
				require.Equal(t, []int{403}, statuses, name)
				require.Equal(t, "403", s.h2(t, "", nil, s.request("/x")...), name)
				require.Empty(t, s.seen(t), name)
				continue
			}
			require.Equal(t, []int{200}, statuses)
			got := s.one(t)
			const text = `ops%2Cadmins,Zo%C3%AB%3Bx=1,100%25,say "hi"`
			require.Equal(t, []string{text}, got.values("X-Groups"))
			require.Equal(t, []string{"Group=" + text}, got.values("X-Tags"))
			const item = "ops%252Cadmins%2CZo%C3%AB%3Bx" // encoded as one of a list, then as part of a URL
			require.Contains(t, got.URL, "?who=zoe&groups="+item+"%3D1%2C")
			require.Len(t, got.values("Cookie"), 1)
			require.Contains(t, got.values("Cookie")[0], "who=zoe; groups="+item+"=1%2C")
		}
	})
}

func TestA58_TheClientsTokenAndTheGatesCookiesStayOutside(t *testing.T) {
	besiege(t, func(t *testing.T, s *siege) {
		require.Equal(t, []int{200}, s.raw(t, "GET PREFIX/x?who=mallory&%77ho=mallory&a=1 HTTP/1.1\n"+bearerHead+"Cookie: __Host-gw-x=secret; who=mallory; a=1\n\n"))
		got := s.one(t)
		require.Equal(t, s.prefix+"/x?who=robot&a=1", got.URL)
		require.Equal(t, []string{"who=robot; a=1"}, got.values("Cookie"))
		authorization := got.values("Authorization")
		require.Len(t, authorization, 1)
		require.NotContains(t, authorization[0], s.token, "W8: an encrypted token stays outside")
		require.Equal(t, 2, strings.Count(authorization[0], "."), "and a signed one goes in")
	})
}

func TestA59_PathTricks(t *testing.T) {
	besiege(t, func(t *testing.T, s *siege) {
		for path, want := range map[string]int{
			"/admin/x": 403, "/ADMIN/x": 403, "/admin": 403, "/admin/": 403, "/%61dmin/x": 400, "//admin/x": 400, "/./admin/x": 400,
			"/x/../admin/x": 400, "/x/..;/admin/x": 400, "/x/%2e%2e/admin/x": 400, "/%2fadmin/x": 400, "/admin%2fx": 400, "/admin%5cx": 400,
			`/admin\x`: 400, "/admin%00/x": 400, "/admin/x%23": 400, "/admin;v=1/x": 400, "/admin./x": 400, "/%2561dmin/x": 400, "/%c0%afadmin": 400,
		} {
			require.Equal(t, []int{want}, s.raw(t, "GET PREFIX"+path+" HTTP/1.1\n"+bearerHead+"\n"), path)
			require.Equal(t, fmt.Sprint(want), s.h2(t, "", nil, s.request(path)...), path)
		}
		require.Empty(t, s.seen(t), "none of them arrived")
		for _, path := range []string{"/x", "/x/", "/a%20b", "/%C3%A9", "/100%25", "/a:b@c,d"} {
			require.Equal(t, []int{200}, s.raw(t, "GET PREFIX"+path+" HTTP/1.1\n"+bearerHead+"\n"), path)
			require.Equal(t, s.prefix+path+"?who=robot", s.one(t).URL)
		}
	})
}

func TestA61_WhatAStrangerForwardsCountsForNothing(t *testing.T) {
	besiege(t, func(t *testing.T, s *siege) {
		require.Equal(t, []int{200}, s.raw(t, "GET PREFIX/x HTTP/1.1\n"+bearerHead+"X-Forwarded-For: 192.0.2.7\nX-Forwarded-Host: evil.example\n"+
			"X-Forwarded-Proto: http\nX-Forwarded-Uri: /admin/\nX-Original-URL: /admin/\nX-Rewrite-URL: /admin/\nX-Forwarded-Method: DELETE\n"+
			"X-HTTP-Method-Override: DELETE\nForwarded: for=192.0.2.7\nX-Real-IP: 192.0.2.7\n\n"))
		got := s.one(t)
		require.Equal(t, []string{"127.0.0.1"}, got.values("X-Forwarded-For"))
		require.Equal(t, []string{"https"}, got.values("X-Forwarded-Proto"))
		require.NotContains(t, strings.Join(got.values("X-Forwarded-Host"), ","), "evil")
		for _, name := range []string{"X-Forwarded-Uri", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Method", "X-HTTP-Method-Override"} {
			require.Empty(t, got.values(name), name)
		}
		require.Equal(t, []int{403}, s.raw(t, "DELETE PREFIX/x HTTP/1.1\n"+bearerHead+"\n"))
		require.Empty(t, s.seen(t))
	})
}

func TestA63_NoPathAndNoUserAgentIsAWayAround(t *testing.T) {
	besiege(t, func(t *testing.T, s *siege) {
		for _, path := range []string{"/x", "/.well-known/acme-challenge/x", "/health", "/.authz/logout", "/.well-known/oauth-protected-resource"} {
			for _, agent := range []string{"kube-probe/1.30", "ELB-HealthChecker/2.0", "curl/8"} {
				require.Equal(t, []int{401}, s.raw(t, "GET PREFIX"+path+" HTTP/1.1\nHost: HOST\nConnection: close\nUser-Agent: "+agent+"\n\n"), path)
			}
		}
		require.Equal(t, []int{401}, s.raw(t, "OPTIONS PREFIX/x HTTP/1.1\nHost: HOST\nConnection: close\nOrigin: https://evil.example\n\n"))
		require.Empty(t, s.seen(t))
	})
}

func TestA64_TwoTokens(t *testing.T) {
	besiege(t, func(t *testing.T, s *siege) {
		for request, want := range map[string]int{
			"GET PREFIX/x HTTP/1.1\n" + bearerHead + "Authorization: Bearer TOKEN\n\n":                                                                     400,
			"GET PREFIX/x HTTP/1.1\n" + bearerHead + "Authorization: Basic YTpi\n\n":                                                                       400,
			"GET PREFIX/x?access_token=TOKEN HTTP/1.1\n" + bearerHead + "\n":                                                                               400,
			"GET PREFIX/x?access_token=TOKEN HTTP/1.1\nHost: HOST\nConnection: close\n\n":                                                                  401,
			"GET PREFIX/x HTTP/1.1\nHost: HOST\nConnection: close\nAuthorization: Bearer TOKEN, Bearer TOKEN\n\n":                                          400,
			"GET PREFIX/x HTTP/1.1\nHost: HOST\nConnection: close\nAuthorization: Bearer TOKEN\n Bearer TOKEN\n\n":                                         400,
			"POST PREFIX/x HTTP/1.1\nHost: HOST\nConnection: close\nContent-Type: application/x-www-form-urlencoded\nContent-Length: 14\n\naccess_token=x": 401,
		} {
			require.Equal(t, []int{want}, s.raw(t, request), request)
		}
		require.Equal(t, "400", s.h2(t, "", nil, append(s.request("/x"), "authorization", "Bearer "+s.token)...))
		require.Empty(t, s.seen(t))
	})
}

// Requests whose end two servers may see in different places: whatever the gate makes of them, nothing comes to the
// backend as a request that the gate has not let through.
func TestNoRequestIsSmuggledPastTheGate(t *testing.T) {
	const hidden = "GET PREFIX/smuggled HTTP/1.1\nHost: HOST\nX-Remote-User: mallory\n\n"
	besiege(t, func(t *testing.T, s *siege) {
		size := fmt.Sprint(len(strings.NewReplacer("PREFIX", s.prefix, "HOST", "localhost:"+s.caddy.port["8444"], "\n", "\r\n").Replace(hidden)))
		const post = "POST PREFIX/x HTTP/1.1\nHost: HOST\nAuthorization: Bearer TOKEN\n"
		for name, request := range map[string]string{
			"CL.TE":                post + "Content-Length: " + size + "\nTransfer-Encoding: chunked\n\n0\n\n" + hidden,
			"TE.CL":                post + "Content-Length: 4\nTransfer-Encoding: chunked\n\n5\nhello\n0\n\n" + hidden,
			"TE in disguise":       post + "Content-Length: 5\nTransfer-Encoding: xchunked\n\nhello" + hidden,
			"TE twice":             post + "Transfer-Encoding: chunked\nTransfer-Encoding: identity\n\n0\n\n" + hidden,
			"TE with a tab":        post + "Content-Length: 5\nTransfer-Encoding:\tchunked\n\n0\n\n" + hidden,
			"TE with a space":      post + "Content-Length: 5\nTransfer-Encoding : chunked\n\n0\n\n" + hidden,
			"two lengths":          post + "Content-Length: 0\nContent-Length: " + size + "\n\n" + hidden,
			"a length with a sign": post + "Content-Length: +" + size + "\n\n" + hidden,
			"a body of GET":        "GET PREFIX/x HTTP/1.1\nHost: HOST\nAuthorization: Bearer TOKEN\nContent-Length: " + size + "\n\n" + hidden,
			"a chunk of odd size":  post + "Transfer-Encoding: chunked\n\n0x5\nhello\n0\n\n" + hidden,
			"HTTP/1.0 and chunked": strings.Replace(post, "1.1", "1.0", 1) + "Transfer-Encoding: chunked\n\n0\n\n" + hidden,
			"an upgrade to h2c":    "GET PREFIX/x HTTP/1.1\nHost: HOST\nAuthorization: Bearer TOKEN\nConnection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\n\n" + hidden,
		} {
			t.Run(name, func(t *testing.T) {
				statuses := s.raw(t, request+"GET PREFIX/last HTTP/1.1\nHost: HOST\nConnection: close\n\n")
				require.NotEmpty(t, statuses)
				for _, got := range s.seen(t) {
					require.NotContains(t, got.URL, "smuggled", "answers: %v", statuses)
					require.Equal(t, []string{"robot"}, got.values("X-Remote-User"))
				}
			})
		}
		pairs := s.request("/x")
		pairs[1] = "POST"
		require.NotEqual(t, "200", s.h2(t, hidden, nil, append(pairs, "content-length", "0")...), "RFC 9113 §8.1.1")
		require.NotEqual(t, "200", s.h2(t, "", nil, append(s.request("/x"), "transfer-encoding", "chunked")...), "RFC 9113 §8.2.2")
		require.NotEqual(t, "200", s.h2(t, "", nil, append(s.request("/x"), "x-a", "b\r\nX-Remote-User: mallory")...), "RFC 9113 §8.2.1")
		for _, got := range s.seen(t) {
			require.NotContains(t, got.URL, "smuggled")
		}
	})
}

func TestAnotherHostIsNoWayToTheBackend(t *testing.T) {
	besiege(t, func(t *testing.T, s *siege) {
		for request, arrives := range map[string]bool{
			"GET PREFIX/x HTTP/1.1\nHost: evil.example\nConnection: close\nAuthorization: Bearer TOKEN\n\n":                         false,
			"GET PREFIX/x HTTP/1.1\nHost: HOST\nHost: evil.example\nConnection: close\nAuthorization: Bearer TOKEN\n\n":             false,
			"GET PREFIX/x HTTP/1.1\nConnection: close\nAuthorization: Bearer TOKEN\n\n":                                             false,
			"GET PREFIX/x HTTP/1.1\nHost: HOST/PREFIX\nConnection: close\nAuthorization: Bearer TOKEN\n\n":                          false,
			"GET https://HOSTPREFIX/x HTTP/1.1\nHost: evil.example\nConnection: close\nAuthorization: Bearer TOKEN\n\n":             true, // RFC 9112 §3.2.2: Host is ignored
			"GET https://evil.examplePREFIX/x HTTP/1.1\nHost: HOST\nConnection: close\nAuthorization: Bearer TOKEN\n\n":             false,
			"GET PREFIX/x HTTP/1.1\nHost: HOST\nX-Forwarded-Host: evil.example\nConnection: close\nAuthorization: Bearer TOKEN\n\n": true,
		} {
			s.raw(t, request)
			seen := s.seen(t)
			require.Equal(t, arrives, len(seen) == 1, request)
			for _, got := range seen {
				require.Equal(t, []string{"robot"}, got.values("X-Remote-User"))
				require.NotContains(t, strings.Join(got.values("Host"), ","), "evil")
			}
		}
		pairs := s.request("/x")
		pairs[5] = "evil.example"
		require.NotEqual(t, "200", s.h2(t, "", nil, append(pairs, "host", "localhost:"+s.caddy.port["8444"])...))
		require.Empty(t, s.seen(t))
	})
}

func TestNobodyIsTakenForSomebodyElse(t *testing.T) {
	besiege(t, func(t *testing.T, s *siege) {
		tiny := post(t, s.caddy, "/token", "tiny", tinySecret, "grant_type", "client_credentials").tokens(t).AccessToken
		request := func(token string) string {
			return "GET PREFIX/x HTTP/1.1\nHost: HOST\nAuthorization: Bearer " + token + "\n\n"
		}
		require.Equal(t, []int{200, 200, 401, 200, 401, 401}, s.raw(t,
			request("TOKEN")+request(tiny)+"GET PREFIX/x HTTP/1.1\nHost: HOST\n\n"+request("TOKEN")+request(tiny+"A")+
				"GET PREFIX/x HTTP/1.1\nHost: HOST\nConnection: close\n\n"), "one connection")
		var users []string
		for _, got := range s.seen(t) {
			users = append(users, got.values("X-Remote-User")...)
		}
		require.Equal(t, []string{"robot", "tiny", "robot"}, users)

		var all sync.WaitGroup
		for i := range 40 {
			all.Go(func() {
				user, token := "robot", s.token
				if i%2 == 0 {
					user, token = "tiny", tiny
				}
				if got := call(t, s.caddy, s.prefix+"/x.css", token); string(got.body) != "user="+user {
					t.Errorf("%s was taken for %s", user, got.body)
				}
			})
		}
		all.Wait()
		refused := get(t, s.client(), s.gate()+s.prefix+"/x.css")
		require.Equal(t, "no-store", refused.header.Get("Cache-Control"), "no cache keeps a refusal")
	})
}

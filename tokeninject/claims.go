package tokeninject

import (
	"bytes"
	"encoding/json"
)

// text is JSON as it is held: of a token, or of a session.
type text interface{ ~string | ~[]byte }

// jsonMember finds the value of a member of a JSON object without reading the rest of it into
// memory. The object was checked when it was accepted: of a token by its parser, of a session by the
// issuer; what is broken all the same has no members.
func jsonMember[T text](object T, name string) (raw T, ok bool) {
	i := skipSpace(object, 0)
	if i >= len(object) || object[i] != '{' {
		return raw, false
	}
	for i++; ; i++ {
		start := skipSpace(object, i)
		end := skipValue(object, start)
		if end <= start || object[start] != '"' {
			return raw, false
		}
		found := memberIs(object[start:end], name)
		if i = skipSpace(object, end); i >= len(object) || object[i] != ':' {
			return raw, false
		}
		start = skipSpace(object, i+1)
		if end = skipValue(object, start); end <= start {
			return raw, false
		}
		if found {
			return object[start:end], true
		}
		if i = skipSpace(object, end); i >= len(object) || object[i] != ',' {
			return raw, false
		}
	}
}

// memberIs compares a quoted member name; only one with an escape in it needs decoding.
func memberIs[T text](quoted T, name string) bool {
	for i := range len(quoted) {
		if quoted[i] == '\\' {
			var decoded string
			return json.Unmarshal([]byte(quoted), &decoded) == nil && decoded == name
		}
	}
	return string(quoted[1:len(quoted)-1]) == name
}

func skipSpace[T text](s T, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\t' || s[i] == '\n' || s[i] == '\r') {
		i++
	}
	return i
}

// skipValue returns where the JSON value that begins at i ends, or i where none does.
func skipValue[T text](s T, i int) int {
	start, depth := i, 0
	for i < len(s) {
		switch s[i] {
		case '"':
			end := skipString(s, i)
			if end < 0 {
				return start
			}
			i = end
			if depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ':', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	if depth > 0 {
		return start
	}
	return i
}

func skipString[T text](s T, i int) int {
	for i++; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// usernameOf reads the login name from a token's claims.
func usernameOf(payload []byte) string {
	if !bytes.Contains(payload, []byte("username")) {
		return ""
	}
	for _, name := range []string{"username", "preferred_username"} {
		raw, ok := jsonMember(payload, name)
		var username string
		if ok && json.Unmarshal(raw, &username) == nil {
			return username
		}
	}
	return ""
}

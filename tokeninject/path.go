package tokeninject

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"
)

// errPath refuses a path that this gate and the upstream may read differently.
var errPath = errors.New("the path can be read in more than one way, and the policy looks at paths")

// plainPath is the path that goes on to the upstream, decoded. ok is false for one that some backend
// reads as another (A59): by decoding it twice or not at all, by resolving dots and empty segments, by
// cutting parameters off, or by taking a backslash for a slash. It looks at what is sent, and not at
// URL.Path, which may be another spelling of it.
func plainPath(r *http.Request) (path string, ok bool) {
	if r.URL.Opaque != "" {
		return "", false
	}
	sent := r.URL.EscapedPath()
	if sent == "" && r.Method != http.MethodConnect {
		return "/", true
	}
	if strings.IndexByte(sent, '%') < 0 {
		return sent, unambiguous(sent)
	}
	for i := 0; i+2 < len(sent); i++ {
		if c, hex := hexByte(sent[i+1], sent[i+2]); sent[i] == '%' && (!hex || c == '/' || unreserved(c)) {
			return "", false
		}
	}
	path, err := url.PathUnescape(sent)
	return path, err == nil && unambiguous(path)
}

// unreserved characters of RFC 3986 §2.3 mean the same encoded or not, but not to everybody.
func unreserved(c byte) bool { return folded[c] != 0 || c == '-' || c == '.' || c == '_' || c == '~' }

// unambiguous tells whether a decoded path means one thing only.
func unambiguous(path string) bool {
	if !strings.HasPrefix(path, "/") || !utf8.ValidString(path) {
		return false
	}
	start := 1 // of the segment
	for i := 1; i <= len(path); i++ {
		if i == len(path) || path[i] == '/' {
			if !plainSegment(path[start:i], i == len(path)) {
				return false
			}
			start = i + 1
			continue
		}
		switch c := path[i]; c {
		case '\\', ';', '?', '#', 0x7f:
			return false
		case '%':
			if _, width := decodeByte(path[i:]); width > 1 {
				return false // decoded again, it is something else
			}
		default:
			if c < 0x20 {
				return false
			}
		}
	}
	return true
}

// plainSegment: Windows takes dots and spaces off the end of a name, everybody resolves "." and "..".
func plainSegment(segment string, last bool) bool {
	return last && segment == "" || segment != "" && !strings.ContainsAny(segment[len(segment)-1:], ". ")
}

// pathPattern is one value of a path line. A "*" at its beginning or end stands for anything, one in
// between for anything within a segment. Where backends differ, that of a deny rule fits more: it takes
// no notice of case, nor of a slash at the end, "/admin/*" and "/admin" included.
type pathPattern struct {
	fits func(path string) bool
	deny bool
	bare func(path string) bool // the pattern without "/" or "/*" at its end; nil: it has none
}

func newPathPattern(pattern string, deny bool) (pathPattern, error) {
	sample := strings.ReplaceAll(pattern, "*", "x")
	if strings.HasPrefix(pattern, "*") {
		sample = "/" + sample
	}
	if !unambiguous(sample) {
		return pathPattern{}, fmt.Errorf("path: %q fits no path: it has to begin with / or *, and be written decoded, without //, dots that end a segment, and the characters ; ? # \\", pattern)
	}
	if !deny {
		return pathPattern{fits: glob(pattern)}, nil
	}
	pattern = strings.ToLower(pattern)
	p := pathPattern{fits: glob(pattern), deny: true}
	if bare, slash := strings.CutSuffix(strings.TrimSuffix(pattern, "*"), "/"); slash {
		p.bare = glob(bare)
	}
	return p, nil
}

// matches tells whether a path fits.
func (p pathPattern) matches(path string) bool {
	if !p.deny {
		return p.fits(path)
	}
	path = strings.ToLower(path)
	if p.fits(path) || p.bare != nil && p.bare(path) {
		return true
	}
	bare, slash := strings.CutSuffix(path, "/")
	return slash && p.fits(bare)
}

// glob makes a matcher of a whole path.
func glob(pattern string) func(path string) bool {
	core, begins := strings.CutPrefix(pattern, "*")
	core, ends := strings.CutSuffix(core, "*")
	switch {
	case strings.Contains(core, "*"):
		expression := strings.ReplaceAll(regexp.QuoteMeta(core), `\*`, "[^/]*")
		if !begins {
			expression = `\A` + expression
		}
		if !ends {
			expression += `\z`
		}
		return regexp.MustCompile(expression).MatchString
	case begins && ends:
		return func(path string) bool { return strings.Contains(path, core) }
	case begins:
		return func(path string) bool { return strings.HasSuffix(path, core) }
	case ends:
		return func(path string) bool { return strings.HasPrefix(path, core) }
	}
	return func(path string) bool { return path == core }
}

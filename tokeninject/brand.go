package tokeninject

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html/template"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// defaultColor is that of pages without a brand.
const defaultColor = "#0b57a4"

// look is how a gate's pages look.
type look struct {
	brand  string
	style  template.CSS
	policy string // Content-Security-Policy: a page does nothing but show itself and send its own form
}

func newLook(b Brand) look {
	color := strings.ToLower(strings.TrimSpace(b.Color))
	if !legibleColor(color) {
		color = defaultColor
	}
	style := fmt.Sprintf(":root { --brand: %s; --brand-dark: %s; }\n%s", color, lighter(color), pageStyle)
	sum := sha256.Sum256([]byte(style))
	return look{
		brand: b.Name,
		style: template.CSS(style), //nolint:gosec // ours, from page.css, save for a color that hexColor has checked
		policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
			"'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
	}
}

var hexColor = regexp.MustCompile(`^#([0-9a-f]{3}|[0-9a-f]{6})$`)

// legibleColor tells whether a color can be written and white text on it read: with a contrast of 4.5
// to 1 (WCAG 2.2 §1.4.3).
func legibleColor(color string) bool {
	if !hexColor.MatchString(color) {
		return false
	}
	luminance := 0.0
	for i, weight := range [3]float64{0.2126, 0.7152, 0.0722} {
		part := float64(channels(color)[i]) / 255
		if part <= 0.04045 {
			part /= 12.92
		} else {
			part = math.Pow((part+0.055)/1.055, 2.4)
		}
		luminance += weight * part
	}
	return 1.05/(luminance+0.05) >= 4.5
}

// lighter is a color for text on dark cards. It is white by three fifths, so that its contrast with
// them is above 5 to 1 whatever the color is.
func lighter(color string) string {
	c := channels(color)
	for i := range c {
		c[i] += (255 - c[i]) * 3 / 5
	}
	return fmt.Sprintf("#%02x%02x%02x", c[0], c[1], c[2])
}

// channels are the red, green and blue of what hexColor matches, from 0 to 255.
func channels(color string) [3]int {
	var c [3]int
	width := (len(color) - 1) / 3
	for i := range c {
		part := strings.Repeat(color[1+i*width:1+(i+1)*width], 2/width)
		n, _ := strconv.ParseUint(part, 16, 8) // hexColor has seen to it
		c[i] = int(n)
	}
	return c
}

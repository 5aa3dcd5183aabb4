package authz

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// Backgrounds of the card in style.css, which colored text has to stand out from.
const (
	cardLight = "#ffffff"
	cardDark  = "#1c2126"
)

// defaultColor is the accent of an operator who named none.
const defaultColor = "#0f6a5b"

var (
	hexColor   = regexp.MustCompile(`^#([0-9a-f]{3}|[0-9a-f]{6})$`)
	otherColor = regexp.MustCompile(`^(#[0-9a-f]{4}|#[0-9a-f]{8}|[a-z]{3,20}|(rgba?|hsla?|hwb|lab|lch|oklab|oklch)\([0-9a-z.,%/ +-]{1,64}\))$`)
)

// themeCSS defines the custom properties that carry the brand's color. Buttons and links take a plain
// hex color, moved towards black or white where it would be illegible (WCAG 2.2 §1.4.3). How legible
// any other notation is cannot be told here, so that only decorates.
func themeCSS(color string) (string, error) {
	color = strings.ToLower(strings.TrimSpace(color))
	if color == "" {
		color = defaultColor
	}
	if !hexColor.MatchString(color) {
		if !otherColor.MatchString(color) {
			return "", errors.New("brand: the color must be a CSS color such as #0f6a5b, navy or rgb(15 106 91)")
		}
		return ":root{--brand:" + color +
			";--accent:var(--text);--on-accent:var(--card);--link-light:var(--text);--link-dark:var(--text)}\n", nil
	}
	accent := parseHex(color)
	onAccent := rgb{1, 1, 1}
	if contrast(accent, onAccent) < textContrast {
		onAccent = rgb{0, 0, 0}
	}
	return fmt.Sprintf(":root{--brand:%s;--accent:%s;--on-accent:%s;--link-light:%s;--link-dark:%s}\n",
		color, color, onAccent, legible(accent, parseHex(cardLight)), legible(accent, parseHex(cardDark))), nil
}

// textContrast is the least contrast of text with its background (WCAG 2.2 §1.4.3). Black or white
// reaches it on every color.
const textContrast = 4.5

// rgb is a color of sRGB, each part from 0 to 1.
type rgb [3]float64

// parseHex reads what hexColor matches.
func parseHex(s string) rgb {
	var c rgb
	digits := (len(s) - 1) / 3
	for i := range c {
		part := s[1+i*digits : 1+(i+1)*digits]
		n, _ := strconv.ParseUint(strings.Repeat(part, 2/digits), 16, 8)
		c[i] = float64(n) / 255
	}
	return c
}

func (c rgb) String() string {
	return fmt.Sprintf("#%02x%02x%02x", int(math.Round(c[0]*255)), int(math.Round(c[1]*255)), int(math.Round(c[2]*255)))
}

// luminance is the relative luminance of WCAG 2.2.
func (c rgb) luminance() float64 {
	linear := func(v float64) float64 {
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c[0]) + 0.7152*linear(c[1]) + 0.0722*linear(c[2])
}

// contrast is the contrast ratio of WCAG 2.2, from 1 to 21.
func contrast(a, b rgb) float64 {
	la, lb := a.luminance(), b.luminance()
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

// legible moves a color away from its background, no further than text needs.
func legible(c, background rgb) rgb {
	target := 0.0
	if background.luminance() < 0.18 {
		target = 1
	}
	const steps = 40
	for i := range steps + 1 {
		part := float64(i) / steps
		mixed := rgb{c[0] + (target-c[0])*part, c[1] + (target-c[1])*part, c[2] + (target-c[2])*part}
		if contrast(mixed, background) >= textContrast+0.1 { // room for rounding to whole bytes
			return mixed
		}
	}
	return rgb{target, target, target}
}

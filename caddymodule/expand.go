package caddymodule

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// expand replaces Caddy's placeholders in every string of a configuration struct, in place. Its
// errors name the JSON path below where; a placeholder that comes out empty is one, since a missing
// environment variable must not become an empty password. Braces that name no placeholder stay.
//
// A walk over the struct cannot forget a field, as a list of fields could.
func expand(where string, config any) error {
	return expandValue(caddy.NewReplacer(), where, reflect.ValueOf(config))
}

func expandValue(repl *caddy.Replacer, where string, v reflect.Value) error {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return expandValue(repl, where, v.Elem())
		}
	case reflect.String:
		if v.Type() == reflect.TypeFor[Template]() {
			return nil // compiled, and replaced for each request
		}
		text, err := repl.ReplaceOrErr(v.String(), true, false)
		if err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
		v.SetString(text)
	case reflect.Struct:
		return expandFields(repl, where, v)
	case reflect.Slice:
		if v.Type() == reflect.TypeFor[json.RawMessage]() {
			return nil // a guest module's, which expands its own
		}
		for i := range v.Len() {
			if err := expandValue(repl, where+"."+strconv.Itoa(i), v.Index(i)); err != nil {
				return err
			}
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			// A map's element can't be set in place.
			element := reflect.New(v.Type().Elem()).Elem()
			element.Set(v.MapIndex(key))
			if err := expandValue(repl, where+"."+key.String(), element); err != nil {
				return err
			}
			v.SetMapIndex(key, element)
		}
	}
	return nil
}

func expandFields(repl *caddy.Replacer, where string, v reflect.Value) error {
	for field, value := range v.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !field.IsExported() || name == "" || name == "-" {
			continue
		}
		if err := expandValue(repl, where+"."+name, value); err != nil {
			return err
		}
	}
	return nil
}

// named gives strings the type of a closed set of words; whether they are in it is checked later.
func named[T ~string](words []string) []T {
	var converted []T // nil for none, which means the default
	for _, word := range words {
		converted = append(converted, T(word))
	}
	return converted
}

func duration(d caddy.Duration) time.Duration { return time.Duration(d) }

package authz

// ConfigError says which part of a configuration is wrong, so that a host that knows where the part
// was written can name the place.
type ConfigError struct {
	Part string // the word of the configuration: "client", "resource_server", "scope", "lifetime", ...
	Name string // of the part, where parts have names
	Err  error
}

// Error names part and reason.
func (e *ConfigError) Error() string {
	if e.Name == "" {
		return e.Part + ": " + e.Err.Error()
	}
	return e.Part + " " + e.Name + ": " + e.Err.Error()
}

// Unwrap is the reason.
func (e *ConfigError) Unwrap() error { return e.Err }

// wrong makes a ConfigError of a reason; no reason stays none.
func wrong(part, name string, err error) error {
	if err == nil {
		return nil
	}
	return &ConfigError{Part: part, Name: name, Err: err}
}

package main

// rows lists what is measured, in the order of the table. The goals are those the project set itself.
func rows() []row {
	return []row{
		{name: "gate, one token, seen before", goal: 0.97, measure: oneToken},
		{name: "gate, 20 000 tokens, all seen before", goal: 0.97, measure: manyTokens},
		{name: "gate, memory a token seen before", goal: 1024, most: true, format: "%.0f B", measure: memoryPerToken},
		{name: "gate, every token new, RS256", goal: 0.60, measure: newTokens("rs256", 16, 600)},
		{name: "gate, every token new, ES256", goal: 0.50, measure: newTokens("es256", 40, 800)},
		{name: "gate, JWE + JWS, seen before", goal: 0.97, measure: sealedToken},
		{name: "gate, session, header and token injected", goal: 0.93, measure: session},
		{name: "gate, 20 rules against none", goal: 0.97, measure: rules},
		{name: "gate, objects a request over the proxy", goal: 15, most: true, format: "%.1f", measure: objects},
		{name: "token endpoint, client credentials, ES256", goal: 0.37, measure: clientCredentials("es256")},
		{name: "token endpoint, client credentials, EdDSA", goal: 0.44, measure: clientCredentials("eddsa")},
		{name: "refresh with rotation, one at a time, against a durable write", goal: 0.50, measure: refresh(1)},
		{name: "refresh with rotation, 32 at once, against durable writes", goal: 0.50, measure: refresh(connections)},
		{name: "introspection against respond", goal: 0.60, measure: introspection},
		{name: "directory, sign-in against bare search and bind", goal: 0.80, measure: directorySignIn},
		{name: "memory a live session", goal: 2048, most: true, format: "%.0f B", measure: memoryPerSession},
		{name: "memory, growth by 100 000 bad tokens", goal: 1 << 20, most: true, format: "%.0f B", measure: flood},
	}
}

package oauth

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// vectors runs a test for every file of a folder of testdata. Each names its source and what is
// expected of it; V is the rest of its members.
func vectors[V any](t *testing.T, folder string, run func(t *testing.T, v V, expect string)) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", folder, "*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, files, "the vectors are gone")
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			var about struct{ Source, Expect string }
			require.NoError(t, json.Unmarshal(text, &about))
			require.NotEmpty(t, about.Source)
			require.NotEmpty(t, about.Expect)
			var v V
			require.NoError(t, json.Unmarshal(text, &v))
			run(t, v, about.Expect)
		})
	}
}

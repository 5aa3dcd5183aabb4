#!/usr/bin/env bash
# Builds, runs and tests Caddy with the Gatewright plugin; `./xcaddy.sh help` lists the commands.
#
# Caddy takes minutes to compile once and seconds afterwards, but Go keeps a compile apart for each setting of
# CGO_ENABLED, -trimpath and -race. So every command here, and the linters of .ci/run, take Go's own defaults and share
# one compile; only the tests have a second one, since they run once and then with -race. -trimpath stays out for
# another reason too: Caddy's test harness finds its certificates by the path of its source.
# For a binary to hand on: GOFLAGS=-trimpath CGO_ENABLED=0 ./xcaddy.sh build
set -euo pipefail

readonly called_from=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")"

readonly module=github.com/gatewright/gatewright
readonly made=.build # everything that a command leaves behind, except the binary of `build` and `run`

# What the tests need of Debian: a browser with a font, and Apache with its OpenID Connect client. apache2-bin rather
# than apache2, which would start a server on port 80; media-types is the list of MIME types that Apache reads. And
# three directories with their tools: OpenLDAP, Samba as an Active Directory, 389 Directory Server. xmlsec1 signs SAML. The tests start
# servers of their own; those that the packages start where there is systemd are not needed and may be stopped.
readonly debian_packages=(chromium fonts-dejavu-core apache2-bin libapache2-mod-auth-openidc media-types
  xmlsec1 slapd ldap-utils samba-ad-dc samba-ad-provision 389-ds-base)

help() {
  cat <<'EOF'
Usage: ./xcaddy.sh COMMAND

  build [FILE] [--with MODULE[@VERSION]]...
                     build Caddy with this plugin into FILE (default: caddy, beside this script);
                     --with adds other plugins and needs xcaddy on the PATH
  run [ARGUMENT]...  build, then run Caddyfile.example; arguments go to `caddy run`
  test [PACKAGE]...  install what the tests need (Debian and npm packages), then run them all (default: ./...) with
                     the race detector, none skipped, and each fuzz target for FUZZTIME (default: 3s)
  bench [PACKAGE]... run the benchmarks, each for BENCHTIME (default: 1s), then the end-to-end comparison
  help               print this

`go test ./...` alone runs what needs no other program, and says with -v what it left out.
EOF
}

die() {
  echo "xcaddy.sh: $*" >&2
  exit 1
}

require_go() {
  command -v go >/dev/null || die "go is not on the PATH; go.mod names the version to install"
}

# --- build and run ---------------------------------------------------------------------------------------------------

build() {
  local output=$PWD/caddy
  local -a plugins=()
  while (($# > 0)); do
    case $1 in
      --with)
        (($# > 1)) || die "build: --with needs a module"
        plugins+=(--with "$2")
        shift
        ;;
      -*) die "build: unknown option $1" ;;
      /*) output=$1 ;;
      *) output=$called_from/$1 ;;
    esac
    shift
  done
  if ((${#plugins[@]} > 0)); then
    build_with_xcaddy "$output" "${plugins[@]}"
  else
    build_caddy "$output"
  fi
}

build_caddy() {
  require_go
  mkdir -p "$(dirname "$1")"
  go build -o "$1" ./caddymodule/caddy
}

# The plugin is a package below the module's root, which itself holds none: --with names the package and --replace
# puts this folder in the place of its module. Caddy's version is ours, so that a plugin can't raise it unseen.
build_with_xcaddy() {
  local output=$1 caddy_version
  shift
  command -v xcaddy >/dev/null || die "build: --with needs xcaddy on the PATH (https://github.com/caddyserver/xcaddy)"
  require_go
  caddy_version=$(go list -m -f '{{.Version}}' github.com/caddyserver/caddy/v2)
  xcaddy build "$caddy_version" --output "$output" --with "$module/caddymodule" --replace "$module=$PWD" "$@"
}

run() {
  build_caddy "$PWD/caddy"
  exec ./caddy run --config Caddyfile.example --adapter caddyfile "$@"
}

# --- test ------------------------------------------------------------------------------------------------------------

run_tests() {
  (($# > 0)) || set -- ./...
  require_go
  install_debian_packages
  install_npm_packages
  build_caddy "$made/caddy" # the end-to-end tests start this one
  local status=0
  go_test "$@" || status=1
  if ((status == 0)); then fuzz "$@" || status=1; fi
  report || status=1
  return "$status"
}

install_debian_packages() {
  local package
  local -a wanted=("${debian_packages[@]}") missing=()
  # Other sources than Debian have these two as well, so it is the commands that count.
  command -v node >/dev/null && command -v npm >/dev/null || wanted+=(nodejs npm)
  command -v "${CC:-gcc}" >/dev/null || wanted+=(gcc libc6-dev) # the race detector links with it
  command -v dpkg-query >/dev/null ||
    die "test: this is not Debian; install what its packages ${wanted[*]} hold, then: GATEWRIGHT_E2E=1 go test ./..."
  for package in "${wanted[@]}"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
  done
  ((${#missing[@]} > 0)) || return 0
  echo "test: installing the Debian packages ${missing[*]}"
  local -a as_root=(env)
  if ((EUID != 0)); then
    command -v sudo >/dev/null ||
      die "test: not root and no sudo; have this done: apt-get install --no-install-recommends ${missing[*]}"
    as_root=(sudo env)
  fi
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}"
}

# Into e2e/node_modules, which git ignores, and again only when the lock file is another one.
install_npm_packages() {
  local lock=e2e/package-lock.json installed=e2e/node_modules/.installed-lock.json
  cmp -s "$lock" "$installed" && return
  echo "test: installing the npm packages of $lock"
  (cd e2e && npm ci --ignore-scripts --no-audit --no-fund)
  cp "$lock" "$installed"
}

# Runs everything once, with the race detector, and keeps the whole output in $made/test.log. With GATEWRIGHT_E2E set, a
# test fails whose program is missing; unset, it is skipped and says why. Here a skip is a failure, too.
go_test() {
  local status=0
  GATEWRIGHT_E2E=1 go test -race -count=1 -v -timeout 15m "$@" 2>&1 | tee "$made/test.log" | what_matters || status=$?
  if grep -q -e '--- SKIP: ' "$made/test.log"; then
    echo "test: with everything installed no test may be skipped"
    status=1
  fi
  return "$status"
}

# Of `go test -v`: the line of each package, what the compiler says, every skip with the line before it (the reason),
# and whatever a package that failed had to say beyond its passed tests.
what_matters() {
  awk '
    /^ok  \t/                    { print; fflush(); said = compiler = 0; next }
    /^FAIL\t/                    { for (i = 0; i < said; i++) print line[i]; print; fflush(); said = compiler = 0; next }
    /^\?   \t|^=== |^ *--- PASS/ { compiler = 0; next }
    /--- SKIP: /                 { if (said > 0) print line[said - 1]; print }
    /^# /                        { compiler = 1 }
    compiler                     { print; next }
                                 { line[said++] = $0 }
    END                          { for (i = 0; i < said; i++) print line[i] }'
}

# One target a run is what `go test -fuzz` allows. An input that fails is kept in the testdata of its package. Go would
# take a minute to make one that is merely new smaller, and so try nothing else.
fuzz() {
  local targets package target status=0
  targets=$(test_functions Fuzz "$@") || return 1
  while read -r package target; do
    [[ -n $target ]] || continue
    if go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-3s}" -fuzzminimizetime 100x "$package" \
      </dev/null >"$made/fuzz.log" 2>&1 || only_time_was_up; then
      echo "fuzz: $package $target held for ${FUZZTIME:-3s}"
    else
      tee -a "$made/test.log" <"$made/fuzz.log"
      status=1
    fi
  done <<<"$targets"
  return "$status"
}

# Before 1.27, Go may take the end of its own -fuzztime for a failure (https://go.dev/issue/75804). Such a run found no
# input that fails, and says nothing else.
only_time_was_up() {
  grep -qx '    context deadline exceeded' "$made/fuzz.log" && ! grep -qE 'Failing input|panic' "$made/fuzz.log"
}

# Prints "PACKAGE FUNCTION" for each test function of one kind, as the sources have them: `go test -list` would first
# link the binary of every package.
test_functions() {
  local kind=$1 package file
  shift
  go list -f '{{range .TestGoFiles}}{{$.ImportPath}} {{$.Dir}}/{{.}}
{{end}}{{range .XTestGoFiles}}{{$.ImportPath}} {{$.Dir}}/{{.}}
{{end}}' "$@" | while read -r package file; do
    [[ -z $file ]] || sed -n "s|^func \(${kind}[A-Za-z0-9_]*\)(.*|$package \1|p" "$file"
  done
}

# Ends a long output with what counts: go test's line of each package, and one line of sums. No test at all is a failure.
report() {
  local passed failed skipped
  passed=$(grep -c '^--- PASS: ' "$made/test.log") || true
  failed=$(grep -cE $'^(--- FAIL: |FAIL\t.*failed])' "$made/test.log") || true # a package may fail to build, too
  skipped=$(grep -c -e '--- SKIP: ' "$made/test.log") || true
  {
    grep -E $'^(ok  |FAIL)\t' "$made/test.log" || true
    echo "tests: $passed passed, $failed failed, $skipped skipped"
  } | tee "$made/test.summary"
  ((passed > 0))
}

# --- bench -----------------------------------------------------------------------------------------------------------

bench() {
  (($# > 0)) || set -- ./...
  require_go
  build_caddy "$made/caddy"
  local names
  local -a packages
  names=$(test_functions Benchmark "$@" | cut -d ' ' -f 1 | uniq)
  mapfile -t packages <<<"$names"
  if [[ -n $names ]]; then
    go test -run '^$' -bench . -benchmem -benchtime "${BENCHTIME:-1s}" "${packages[@]}"
  fi
  if [[ -d bench ]]; then go run ./bench; fi
}

case ${1:-help} in
  build | run | bench) "$@" ;;
  test) run_tests "${@:2}" ;;
  help | -h | --help) help ;;
  *)
    help >&2
    die "unknown command $1"
    ;;
esac

#!/usr/bin/env bash
# Installs the system packages whose servers the tests start, where apt can do it.
# Does nothing, in milliseconds, when they are there; fails only under CI=true, where no test may be skipped.
set -euo pipefail

# One line a package: its name, a command of it, and where Debian keeps that command off the search path.
packages='
postgresql  initdb  /usr/lib/postgresql/*/bin/initdb
'

missing=()
while read -r package command path; do
  if [ -n "$package" ] && ! command -v "$command" >/dev/null && ! compgen -G "$path" >/dev/null; then
    missing+=("$package")
  fi
done <<<"$packages"
[ ${#missing[@]} -eq 0 ] && exit 0

give_up() {
  echo "Not installed: ${missing[*]}. $1" >&2
  if [ "${CI:-}" = true ]; then
    echo "With CI=true nothing is skipped, so this is an error." >&2
    exit 1
  fi
  echo "The tests that need it are skipped." >&2
  exit 0
}

command -v apt-get >/dev/null || give_up "There is no apt-get here: install it with this system's package manager."
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
  else
    give_up "That needs root: sudo apt-get install ${missing[*]}"
  fi
fi

echo "Installing ${missing[*]} with apt-get (once) …"
install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends)
# The lists of packages may be missing (as in container images) or old.
"${install[@]}" "${missing[@]}" >/dev/null 2>&1 \
  || { "${as_root[@]}" apt-get update --quiet >/dev/null && "${install[@]}" "${missing[@]}" >/dev/null; } \
  || give_up "apt-get could not install it (its messages stand above)."

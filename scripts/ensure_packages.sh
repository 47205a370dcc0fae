#!/usr/bin/env bash
# Installs the system packages whose commands and servers the tests start, where apt (for Azurite: npm) can do it.
# Does nothing, in milliseconds, when they are there; fails only under CI=true, where no test may be skipped.
set -euo pipefail

# One line a package: its name, a command of it, and where Debian keeps that command off the search path.
packages='
bubblewrap  bwrap   /usr/bin/bwrap
catatonit   catatonit /usr/libexec/podman/catatonit
busybox     busybox /bin/busybox
faketime    faketime /usr/bin/faketime
git         git     /usr/bin/git
kubernetes-client kubectl /usr/bin/kubectl
podman      podman  /usr/bin/podman
postgresql  initdb  /usr/lib/postgresql/*/bin/initdb
runc        runc    /usr/sbin/runc
'

# Azurite is not Debian's; it goes beside the Python environment.
azurite="${VENV:-.venv}/azurite"
if [ ! -e "$azurite/node_modules/azurite" ]; then
  echo "Installing azurite with npm (once) …"
  if ! command -v npm >/dev/null \
    || ! npm install --silent --no-fund --no-audit --prefix "$azurite" azurite@3.37.0 >/dev/null; then
    echo "Not installed: azurite. It needs npm, which comes with Node.js; the tests of Azure need it." >&2
    [ "${CI:-}" != true ] || exit 1
  fi
fi

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

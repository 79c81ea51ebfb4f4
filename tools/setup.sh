# Sourced by ./pagoda and ./test: installs the packages of packages.txt that are missing, configures and builds.
# Requires: the current folder is the repository's root.

say() { printf '%s\n' "$*" >&2; }

# install_packages FILE...: lists of packages, one per line.
install_packages() {
  command -v dpkg-query >/dev/null || { say "This is not Debian: install what packages.txt names, by your system's names."; return 0; }
  local wanted missing=() package
  mapfile -t wanted < <(grep -hv '^#' packages.txt "$@")
  for package in "${wanted[@]}"; do
    dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q '^install ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  local sudo=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { say "Please install as root: apt-get install ${missing[*]}"; return 1; }
    sudo=(sudo)
  fi
  say "Installing ${#missing[@]} Debian packages${sudo:+ with sudo}: ${missing[*]}"
  local log; log=$(mktemp)
  if ! { "${sudo[@]}" apt-get update -qq &&
         "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    tail -20 "$log" >&2
    say "The installation failed; the lines above say why."
    return 1
  fi
  rm -f "$log"
}

# Jobs that fit: a compiler takes up to 1.5 GiB here, twice that under a sanitizer.
build_jobs() {
  local per_job_kib=$((1536 * 1024)) available cores
  [[ "$1" == asan || "$1" == tsan || "$1" == fuzz ]] && per_job_kib=$((per_job_kib * 2))
  available=$(awk '/^MemAvailable/ {print $2}' /proc/meminfo)
  cores=$(nproc)
  local fit=$((available / per_job_kib))
  [ "$fit" -lt 1 ] && fit=1
  [ "$fit" -lt "$cores" ] && echo "$fit" || echo "$cores"
}

# build PRESET TARGET... One at a time in a folder: a second one waits, and then finds it done.
build() {
  mkdir -p "build/$1"
  {
    flock -n 9 || { say "Another build runs in build/$1: waiting for it..."; flock 9; }
    build_alone "$@"
  } 9>"build/$1/lock"
}

build_alone() {
  local preset=$1 dir=build/$1 log=build/$1/build.log
  shift
  if [ ! -f "$dir/build.ninja" ] || [ CMakePresets.json -nt "$dir/build.ninja" ]; then
    say "Configuring ($preset)..."
    cmake --preset "$preset" >"$log" 2>&1 || { tail -30 "$log" >&2; return 1; }
  fi
  local started=$SECONDS
  if [ -t 2 ]; then
    NINJA_STATUS='Building [%f/%t] ' ninja -C "$dir" -j "$(build_jobs "$preset")" "$@" 2>&1 | tee "$log" |
      awk '/^Building \[/ { split($3, parts, "/"); printf "\r\033[KBuilding %s %s", $2, parts[length(parts)] > "/dev/stderr"; next } { rest = 1 } END { printf "\r\033[K" > "/dev/stderr" }'
  else
    say "Building ($preset)..."
    NINJA_STATUS='[%f/%t] ' ninja -C "$dir" -j "$(build_jobs "$preset")" "$@" >"$log" 2>&1
  fi
  local status=${PIPESTATUS[0]}
  if [ "$status" -ne 0 ]; then
    grep -a -A 40 -m 1 'FAILED:' "$log" >&2 || tail -30 "$log" >&2
    say "The build failed; all of its output is in $log."
    return 1
  fi
  [ $((SECONDS - started)) -gt 2 ] && say "Built in $((SECONDS - started)) s."
  return 0
}

# SPDX-License-Identifier: BSD-3-Clause
# setup.sh - what tools/check and tools/quickstart share; sourced, not run.
#
# install_missing PACKAGE[:COMMAND]... installs the Debian packages that are missing, and says so in one
# line.  A package counts as there when dpkg knows it as installed, or its command is found.

# bounded SECONDS COMMAND... - the command, ended with all it started when time runs out (status 124).
# It runs beside the shell, so that a trap can end it at once: see end_bounded.  A shell starts background
# commands with SIGINT ignored, which tests of Ctrl-C must not inherit; hence env.
bounded_pid=
bounded()
{
    local seconds=$1 rc=0
    shift
    env --default-signal=INT,QUIT timeout --kill-after=10 "$seconds" "$@" &
    bounded_pid=$!
    wait "$bounded_pid" || rc=$?
    bounded_pid=
    return $rc
}

# end_bounded - for traps: ends what bounded() is running, if anything.
end_bounded()
{
    if [ -n "$bounded_pid" ]; then
        kill "$bounded_pid" 2>/dev/null || true
        wait "$bounded_pid" 2>/dev/null || true
        bounded_pid=
    fi
}

as_root()
{
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo -n "$@"
    else
        return 1
    fi
}

apt_install()
{
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -y -o DPkg::Lock::Timeout=120 install --no-install-recommends "$@" </dev/null
}

install_missing()
{
    local word package missing=() log
    for word in "$@"; do
        package=${word%%:*}
        if [ "$package" != "$word" ] && command -v "${word#*:}" >/dev/null; then
            continue
        fi
        if ! dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q ' installed$'; then
            missing+=("$package")
        fi
    done
    if [ ${#missing[@]} -eq 0 ]; then
        echo "setup: all $# packages are there"
        return 0
    fi
    echo "setup: installing ${missing[*]}"
    if ! command -v apt-get >/dev/null; then
        echo "setup: there is no apt-get here; install what these Debian packages hold and run again" >&2
        return 1
    fi
    log=$(mktemp "${TMPDIR:-/tmp}/busbar-setup.XXXXXX")
    # The lists may be old or missing: then fetch them once and try again.
    if ! apt_install "${missing[@]}" >"$log" 2>&1; then
        if ! { as_root apt-get -q update && apt_install "${missing[@]}"; } </dev/null >"$log" 2>&1; then
            tail -n 15 "$log" >&2
            rm -f "$log"
            echo "setup: could not install; as root: apt-get install ${missing[*]}" >&2
            return 1
        fi
    fi
    rm -f "$log"
}

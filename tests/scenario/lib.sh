# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# lib.sh: what every scenario test begins with.  Sourced.
#
#   . "$(dirname "$0")/lib.sh"
#   skip_without nginx curl          whole test is skipped where a program is missing
#   pick_port HTTPS                  $HTTPS is a free port of 127.0.0.1
#   start web nginx -c ...           in the background; output in $T/web.log, its PID in $PID_web
#   wait_for 5 is_open "$HTTPS"      polls until true, for at most 5 seconds
#   ok "a page is served" fetch ...  one TAP line: passes when the command succeeds
#   stop web                         SIGTERM, and waits; `stop web KILL` for another signal
#   done_testing
#
# $T is a directory that every user may enter; it is removed, and all that was started is killed, by
# PID, however the test ends.  $BUILD is the build directory (default: build), $SRC the source tree.
# No test sleeps: it waits for something to become true.

set -u
SRC=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=$(cd "${BUILD:-$SRC/build}" && pwd)
BIN=$BUILD/bin LIB=$BUILD/lib
T=$(mktemp -d "${TMPDIR:-/tmp}/keyfleet-test.XXXXXX")
chmod 755 "$T"
export LC_ALL=C

lib_count=0 lib_failed=0 lib_started=()

lib_clean_up() {
	local status=$? name
	for name in "${lib_started[@]}"; do stop "$name" KILL; done
	[ "$lib_count" -gt 0 ] || [ "$status" = 0 ] || echo "Bail out! the test ended early"
	rm -rf "$T"
	exit "$status"
}
trap lib_clean_up EXIT
trap 'exit 1' INT TERM HUP

# Lines of people's interest; TAP ignores them.
note() { printf '# %s\n' "$@"; }

lib_result() {
	lib_count=$((lib_count + 1))
	[ "$1" = "ok" ] || lib_failed=$((lib_failed + 1))
	echo "$1 $lib_count - $2"
}

# ok CLAIM COMMAND...: what the command prints is shown only when it fails
ok() {
	local claim=$1
	shift
	if "$@" >"$T/.output" 2>&1; then
		lib_result ok "$claim"
	else
		lib_result "not ok" "$claim"
		sed 's/^/#   /' "$T/.output" | tail -n 20
	fi
}

# not COMMAND...: succeeds when the command fails
not() { ! "$@"; }

# is CLAIM GOT WANTED
is() {
	if [ "$2" = "$3" ]; then
		lib_result ok "$1"
	else
		lib_result "not ok" "$1"
		note "  got    '$2'" "  wanted '$3'"
	fi
}

# less CLAIM GOT LIMIT: whole numbers
less() {
	if [ "$2" -lt "$3" ]; then lib_result ok "$1 ($2)"; else lib_result "not ok" "$1 ($2, wanted below $3)"; fi
}

skip() { lib_result ok "$1 # SKIP $2"; }

skip_all() {
	echo "1..0 # SKIP $1"
	lib_count=1
	exit 0
}

skip_without() {
	local program
	for program in "$@"; do
		command -v "$program" >/dev/null || skip_all "$program is not installed"
	done
}

skip_unless_root() { [ "$(id -u)" = 0 ] || skip_all "needs root"; }

# A failure that leaves nothing to go on with.
give_up() {
	note "$@"
	echo "Bail out! $1"
	lib_count=1
	exit 1
}

done_testing() {
	echo "1..$lib_count"
	[ "$lib_failed" = 0 ]
	exit
}

# pick_port NAME...: binding port 0 shows a free one; all are held until the last is known
pick_port() {
	local ports
	ports=$(python3 -c 'import socket, sys
held = [socket.create_server(("127.0.0.1", 0)) for _ in sys.argv[1:]]
print(" ".join(str(s.getsockname()[1]) for s in held))' "$@")
	read -r "$@" <<<"$ports"
}

is_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# wait_for SECONDS COMMAND...: true as soon as the command succeeds
wait_for() {
	local end=$((${EPOCHREALTIME/./} + $1 * 1000000))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "${EPOCHREALTIME/./}" -lt "$end" ] || return 1
		sleep 0.02
	done
}

is_running() { kill -0 "$1" 2>/dev/null; }
is_gone() { ! is_running "$1" || [ "$(ps -o stat= -p "$1" 2>/dev/null | cut -c1)" = Z ]; }

# start NAME COMMAND...: NAME is a word that may be part of a variable's name.  A session of its own, for
# Apache ends its whole process group.  The log is empty when this returns: what the one before wrote says nothing
# about this one.
start() {
	local name=$1
	shift
	: >"$T/$name.log"
	setsid "$@" >>"$T/$name.log" 2>&1 </dev/null &
	printf -v "PID_$name" %s $!
	disown
	lib_started+=("$name")
}

# adopt NAME PID: for what detaches itself from us; stopped at the end like all others
adopt() {
	printf -v "PID_$1" %s "$2"
	lib_started+=("$1")
}

# stop NAME [SIGNAL]: gone when it returns; after 10 s it is killed
stop() {
	local variable=PID_$1
	local pid=${!variable:-}
	[ -n "$pid" ] || return 0
	kill "-${2:-TERM}" "$pid" 2>/dev/null
	wait_for 10 is_gone "$pid" || kill -KILL "$pid" 2>/dev/null
	printf -v "$variable" %s ''
}

show_log() { sed 's/^/# /' "$T/$1.log" | tail -n "${2:-20}"; }

# start_and_wait NAME PATTERN COMMAND...: started, and has printed a line with PATTERN
start_and_wait() {
	local name=$1 pattern=$2
	shift 2
	start "$name" "$@"
	wait_for 20 grep -q -- "$pattern" "$T/$name.log" && return 0
	show_log "$name"
	give_up "$name does not start"
}

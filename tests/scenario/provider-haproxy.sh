#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Stock HAProxy with keys that are references, in a chroot and without openssl.cnf: synchronous, with
# ssl-mode-async, as master and worker; certificates swapped at run time; clients that give up.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/guests.sh"

skip_without haproxy openssl curl
skip_unless_root # chroot and user
make_keys
start_agent "www-slow=$T/ec.key,300"
make_reference www-slow "$T/ec.pub" "$T/slow.ref"
unset OPENSSL_CONF # only HAProxy's own keywords load the provider
export KEYFLEET_AGENT_SOCKET=$SOCKET

mkdir "$T/crt"
cat "$T/ec.crt" "$T/ec.ref" >"$T/crt/ec.pem"
cat "$T/rsa.ref" "$T/rsa.crt" >"$T/crt/rsa.pem"
cat "$T/ec.crt" "$T/slow.ref" >"$T/crt/slow.pem"

# write_conf FILE GLOBAL-LINE...
write_conf() {
	local file=$1
	shift
	cat >"$file" <<-CONF
		global
		$(printf '%s\n' "$@")
		user haproxy
		group haproxy
		chroot $T/empty
		nbthread 1
		maxconn 500
		stats socket $T/stats.sock mode 600 level admin
		ssl-provider-path $MODULES
		ssl-provider default
		ssl-provider keyfleet
		defaults
		mode http
		timeout client 5s
		timeout server 5s
		timeout connect 5s
		frontend fast
		bind 127.0.0.1:$FAST ssl crt $T/crt/ec.pem crt $T/crt/rsa.pem ciphers DEFAULT:AES128-GCM-SHA256 no-tls-tickets
		http-request return status 200 content-type text/plain string "served by haproxy\n"
		frontend slow
		bind 127.0.0.1:$SLOW ssl crt $T/crt/slow.pem no-tls-tickets
		http-request return status 200 content-type text/plain string "served slowly\n"
	CONF
}
mkdir "$T/empty"
pick_port FAST SLOW

# The process that serves: HAProxy itself, or the worker of the master.
serving() { children_of "$PID_web" | head -n 1 | grep . || echo "$PID_web"; }

ask_stats() {
	python3 -c 'import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(sys.stdin.buffer.read())
s.shutdown(socket.SHUT_WR)
while data := s.recv(65536): sys.stdout.buffer.write(data)' "$T/stats.sock"
}

# Visitors that left are noticed in HAProxy's own time.
has_fewer_fds() { [ "$(fds_of "$1")" -lt "$2" ]; }

check_server() {
	local mode=$1 pid fds
	ok "$mode: starts" wait_for 20 is_open "$SLOW"
	check_handshakes "$mode" "$FAST"
	ok "$mode: a page is served" fetch_shows "served by haproxy" "$FAST"
	ok "$mode: eight at once" eight_at_once "$FAST"
	pid=$(serving)
	is "$mode: no thread is made" "$(threads_of "$pid")" 1
	fds=$(fds_of "$pid")
	for _ in 1 2 3; do eight_at_once "$FAST"; done
	# As many at the same time as never before may need connections to the agent that stay; 24 leaks are more than 8.
	wait_for 10 has_fewer_fds "$pid" $((fds + 8)) || true
	less "$mode: no descriptor is left behind" "$(fds_of "$pid")" $((fds + 8))
}

# ---- one process, blocking ----
write_conf "$T/sync.cfg"
ok "the configuration test passes" haproxy -c -f "$T/sync.cfg"
start web haproxy -db -f "$T/sync.cfg"
check_server "blocking"
stop web

# ---- one process, asynchronous ----
write_conf "$T/async.cfg" ssl-mode-async
start web haproxy -db -f "$T/async.cfg"
check_server "asynchronous"
ok "asynchronous: a slow key works" fetch_shows "served slowly" "$SLOW"
ok "asynchronous: eight slow ones at once" eight_at_once "$SLOW"
ok "asynchronous: a connection that stays, and asks again" fetch_shows "served by haproxy" "$FAST" --next -sS \
	--cacert "$T/all.crt" --resolve "localhost:$FAST:127.0.0.1" "https://localhost:$FAST/again"

# All but the connections to the agent, of which the provider keeps as many as were ever in use at once.
own_fds_of() {
	local fd link
	for fd in "/proc/$1/fd"/*; do
		link=$(readlink "$fd") || continue
		case $link in
		socket:*) grep -qw "${link//[!0-9]/}" /proc/net/unix || echo "$link" ;;
		*) echo "$link" ;;
		esac
	done | wc -l
}

aborted() { ! fetch "$SLOW" --max-time "0.$1"; }
fds=$(own_fds_of "$PID_web")
for i in 1 2 3 4 5; do
	for k in 05 10 15 20 25 28; do aborted $k >/dev/null 2>&1 & done
	for job in $(jobs -p); do wait "$job"; done
done
settled() { [ "$(own_fds_of "$PID_web")" -le $((fds + 2)) ] && [ "$(fds_of "$PID_web")" -le $((fds + 66)) ]; }
# Longer than all timeouts of the configuration: whatever is still there then has been forgotten.
ok "clients that give up leave no descriptor behind" wait_for 20 settled
ok "and the server goes on" fetch_shows "served by haproxy" "$FAST"

stop agent KILL
ok "without an agent a handshake fails" not fetch "$FAST"
start_agent "www-slow=$T/ec.key,300"
ok "with a new agent it succeeds" fetch_shows "served by haproxy" "$FAST"

# ---- another certificate at run time, from inside the chroot ----
handshake "$SLOW" -tls1_3 >/dev/null 2>&1
before=$(requests | grep -c www-slow)
{
	echo "set ssl cert $T/crt/slow.pem <<"
	cat "$T/crt/ec.pem"
	echo
} | ask_stats >"$T/swap.out"
echo "commit ssl cert $T/crt/slow.pem" | ask_stats >>"$T/swap.out"
ok "a reference is swapped at run time" grep -q "Success" "$T/swap.out"
ok "and is used" handshake "$SLOW" -tls1_3
is "instead of the old one" "$(requests | grep -c www-slow)" "$before"
stop web

# ---- master and worker ----
start web haproxy -W -f "$T/async.cfg"
check_server "master and worker"
worker=$(serving)
kill -USR2 "$PID_web"
ok "reload replaces the worker" wait_for 10 is_gone "$worker"
check_handshakes "after reload" "$FAST"
stop agent
kill -USR2 "$PID_web"
ok "reload works without an agent" wait_for 10 is_open "$FAST"
stop web
done_testing

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Stock nginx with an RSA and an ECDSA certificate whose keys are references: handshakes, configuration
# test and reload without an agent, an agent that restarts, and replacement of the binary.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/guests.sh"

skip_without nginx openssl curl
make_keys
pick_port PORT

user=
if [ "$(id -u)" = 0 ]; then user='user www-data;'; fi

write_conf() {
	cat >"$T/nginx.conf" <<-CONF
		env OPENSSL_CONF;
		worker_processes ${WORKERS:-2};
		$user
		daemon ${1:-off};
		pid $T/nginx.pid;
		error_log $T/error.log info;
		events { worker_connections 512; }
		http {
			access_log off;
			client_body_temp_path $T/t1; proxy_temp_path $T/t2; fastcgi_temp_path $T/t3;
			uwsgi_temp_path $T/t4; scgi_temp_path $T/t5;
			ssl_session_tickets off;
			ssl_protocols TLSv1.2 TLSv1.3;
			ssl_ciphers DEFAULT:AES128-GCM-SHA256;
			server {
				listen 127.0.0.1:$PORT ssl;
				ssl_certificate $T/rsa.crt;
				ssl_certificate_key $T/${2:-rsa.ref};
				ssl_certificate $T/ec.crt;
				ssl_certificate_key $T/ec.ref;
				location / { return 200 "served by \$pid\n"; }
			}
		}
	CONF
}
write_conf

# ---- without an agent ----
ok "the configuration test passes without an agent" nginx -t -c "$T/nginx.conf"
start web nginx -c "$T/nginx.conf"
ok "nginx starts without an agent" wait_for 10 is_open "$PORT"
ok "a handshake fails without an agent" not fetch "$PORT"
ok "and the log says why" wait_for 5 grep -q "key agent is not reachable.*$SOCKET" "$T/error.log"
ok "nginx reloads without an agent" kill -HUP "$PID_web"

# ---- with one ----
start_agent
before=$(count_requests)
check_handshakes nginx "$PORT"
is "one request a handshake" $(($(count_requests) - before)) 6
ok "what TLS 1.3 signs travels whole" eval 'requests | grep -q "sign www-rsa data 146 hash SHA2-256 padding 10 salt 32"'
ok "key exchange travels with its TLS version" eval 'requests | grep -q "decrypt www-rsa 256 padding 8 tls 0303 0303"'

requests | sed 's/.* pid //' | sort -u >"$T/askers"
ok "workers ask, not the master" not grep -qx "$PID_web" "$T/askers"
threads=0
for pid in $(children_of "$PID_web"); do
	more=$(threads_of "$pid")
	[ "$more" -le 1 ] || threads=$more
done
is "no thread is made" "$threads" 0

many() {
	local i
	for i in $(seq "$1"); do fetch "$PORT" || return 1; done
}
ok "a page is served" fetch_shows "served by" "$PORT"
many 20 >/dev/null
fds=$(for pid in $(children_of "$PID_web"); do fds_of "$pid"; done)
many 20 >/dev/null
is "no descriptor is left behind" "$(for pid in $(children_of "$PID_web"); do fds_of "$pid"; done)" "$fds"

old=$(children_of "$PID_web" | head -n 1)
kill -HUP "$PID_web"
ok "reload replaces the workers" wait_for 10 is_gone "$old"
check_handshakes "after reload" "$PORT"

stop agent KILL
start_agent
ok "an agent that restarted is met again" fetch_shows "served by" "$PORT"

make_key other -algorithm RSA -pkeyopt rsa_keygen_bits:2048
write_conf off other.ref
ok "a reference that does not fit the certificate is refused" \
	eval 'nginx -t -c "$T/nginx.conf" 2>&1 | grep -q "key values mismatch"'
stop web QUIT

# ---- replacing the binary ----
write_conf on
"$(command -v nginx)" -c "$T/nginx.conf"
wait_for 10 test -s "$T/nginx.pid"
adopt old "$(cat "$T/nginx.pid")"
kill -USR2 "$PID_old"
ok "a new master starts" wait_for 10 test -s "$T/nginx.pid.oldbin"
wait_for 10 test -s "$T/nginx.pid"
wait_for 10 children_of "$(cat "$T/nginx.pid")"
adopt new "$(cat "$T/nginx.pid")"
stop old QUIT
check_handshakes "after USR2" "$PORT"
stop new # with its workers, which a master that is killed would leave behind
done_testing

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The provider touches no memory that is not its own, and loses none, in the openssl command and in nginx.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/guests.sh"

skip_without valgrind nginx openssl curl
if nm "$LIB/keyfleet.so" 2>/dev/null | grep -q __asan_; then skip_all "built with a sanitizer"; fi
make_keys
start_agent
echo hello >"$T/short"
head -c 5000 /dev/urandom >"$T/long"

watched() {
	valgrind -q --error-exitcode=9 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite "$@"
}
ok "signing" watched openssl dgst -sha256 -sign "$T/rsa.ref" -out "$T/sig" "$T/short"
ok "signing what is long" watched openssl dgst -sha256 -sign "$T/ec.ref" -out "$T/sig" "$T/long"
ok "a certificate request" watched openssl req -new -key "$T/ed.ref" -subj /CN=x -out "$T/csr"
ok "a key file" watched openssl pkey -in "$T/rsa.key" -noout
openssl_plain pkeyutl -encrypt -pubin -inkey "$T/rsa.pub" -in "$T/short" -out "$T/cipher"
ok "decrypting" watched openssl pkeyutl -decrypt -inkey "$T/rsa.ref" -in "$T/cipher" -out "$T/plain"

pick_port PORT
cat >"$T/nginx.conf" <<-CONF
	daemon off; master_process off;
	pid $T/nginx.pid;
	error_log $T/error.log info;
	events { worker_connections 64; }
	http {
		access_log off;
		client_body_temp_path $T/t1; proxy_temp_path $T/t2; fastcgi_temp_path $T/t3;
		uwsgi_temp_path $T/t4; scgi_temp_path $T/t5;
		ssl_session_tickets off;
		ssl_protocols TLSv1.2 TLSv1.3;
		ssl_ciphers DEFAULT:AES128-GCM-SHA256;
		server {
			listen 127.0.0.1:$PORT ssl;
			ssl_certificate $T/rsa.crt; ssl_certificate_key $T/rsa.ref;
			ssl_certificate $T/ec.crt; ssl_certificate_key $T/ec.ref;
			location / { return 200 "watched\n"; }
		}
	}
CONF
# nginx itself has reads that valgrind does not like: only what passes through us counts.
start web valgrind --error-limit=no --leak-check=no --log-file="$T/valgrind.log" nginx -c "$T/nginx.conf"
wait_for 60 is_open "$PORT" || give_up "nginx does not start under valgrind"
check_handshakes "nginx under valgrind" "$PORT"
stop agent
ok "a handshake without an agent" not fetch "$PORT"
start_agent
ok "and with one again" fetch_shows watched "$PORT"
stop web
sed -n 's/^==[0-9]*== //p' "$T/valgrind.log" >"$T/report"
ok "nothing is reported in the provider" not grep -E -B6 -A12 \
	'keyfleet.so|\((provider|key|keymgmt|decoder|sign|options|verify|decrypt|remote|pause|local|keyref)[.]c:' "$T/report"
done_testing

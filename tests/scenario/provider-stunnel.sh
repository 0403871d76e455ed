#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Stock stunnel, threads and all, with keys that are references.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/guests.sh"

skip_without stunnel4 openssl python3
make_keys
pick_port RSA_PORT EC_PORT HTTP
user=
if [ "$(id -u)" = 0 ]; then user=$'setuid = nobody\nsetgid = nogroup'; fi
cat >"$T/stunnel.conf" <<-CONF
	foreground = yes
	pid =
	debug = 5
	$user
	[rsa]
	accept = 127.0.0.1:$RSA_PORT
	connect = 127.0.0.1:$HTTP
	ciphers = DEFAULT:AES128-GCM-SHA256
	cert = $T/rsa.crt
	key = $T/rsa.ref
	[ec]
	accept = 127.0.0.1:$EC_PORT
	connect = 127.0.0.1:$HTTP
	cert = $T/ec.crt
	key = $T/ec.ref
CONF
mkdir "$T/www" && echo "behind stunnel" >"$T/www/index.html"
start http python3 -m http.server "$HTTP" --bind 127.0.0.1 --directory "$T/www"
start tunnel stunnel4 "$T/stunnel.conf"
ok "stunnel starts without an agent" wait_for 10 is_open "$EC_PORT"
start_agent
wait_for 10 is_open "$HTTP"

ok "TLS 1.3 with ECDSA" handshake_shows 'signature type: ECDSA' "$EC_PORT" -tls1_3
ok "TLS 1.2 with ECDSA" handshake_shows 'signature type: ECDSA' "$EC_PORT" -tls1_2
ok "TLS 1.3 with RSA-PSS" handshake_shows 'signature type: RSA-PSS' "$RSA_PORT" -tls1_3
ok "TLS 1.2 with RSA PKCS#1" handshake_shows 'signature type: RSA$' "$RSA_PORT" -tls1_2 -sigalgs RSA+SHA256
ok "TLS 1.2 RSA key exchange" handshake_shows 'Cipher is AES128-GCM-SHA256' "$RSA_PORT" -tls1_2 \
	-cipher AES128-GCM-SHA256
ok "a page comes through" fetch_shows "behind stunnel" "$EC_PORT"

ok "eight threads sign at once" eight_at_once "$EC_PORT"
done_testing

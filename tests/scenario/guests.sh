# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# guests.sh: keys, certificates, references and a key agent for tests of the provider.  Sourced after lib.sh.
#
#   make_keys          $T/{rsa,ec,ed}.{key,crt,pub,ref}, and $T/openssl.cnf that loads the provider
#   start_agent [KEY-SUFFIX...]   test-agent for them, at $SOCKET
#
# The references name keys "www-rsa", "www-ec", "www-ed"; what "agent" printed is in $T/agent.log.

SOCKET=@keyfleet-test-$$
export OPENSSL_CONF=$T/openssl.cnf
MODULES=$LIB

make_reference() {
	"$BUILD/tests/make-keyref" "$1" "$2" >"$3"
}

make_key() {
	local name=$1
	shift
	OPENSSL_CONF=/dev/null openssl genpkey "$@" -out "$T/$name.key" 2>/dev/null
	chmod 600 "$T/$name.key"
	OPENSSL_CONF=/dev/null openssl pkey -in "$T/$name.key" -pubout -out "$T/$name.pub"
	openssl_plain req -x509 -new -key "$T/$name.key" -subj /CN=localhost -days 30 -out "$T/$name.crt" \
		-addext subjectAltName=DNS:localhost,IP:127.0.0.1
	make_reference "www-$name" "$T/$name.pub" "$T/$name.ref"
}

# openssl without the provider
openssl_plain() { OPENSSL_CONF=/etc/ssl/openssl.cnf openssl "$@"; }

# write_openssl_cnf [LINE]: with a further line in our section
write_openssl_cnf() {
	cat >"$T/openssl.cnf" <<-CNF
		.include /etc/ssl/openssl.cnf
		[openssl_init]
		providers = provider_sect
		[provider_sect]
		default = default_sect
		keyfleet = keyfleet_sect
		[default_sect]
		activate = 1
		[keyfleet_sect]
		module = $MODULES/keyfleet.so
		activate = 1
		agent-socket = $SOCKET
		${1:-}
	CNF
}

make_keys() {
	make_key rsa -algorithm RSA -pkeyopt rsa_keygen_bits:2048
	make_key ec -algorithm EC -pkeyopt ec_paramgen_curve:P-256
	make_key ed -algorithm ED25519
	cat "$T/rsa.crt" "$T/ec.crt" >"$T/all.crt"
	write_openssl_cnf ""
}

start_agent() {
	OPENSSL_CONF=/etc/ssl/openssl.cnf start_and_wait agent ready "$BUILD/tests/test-agent" "$SOCKET" \
		"www-rsa=$T/rsa.key" "www-ec=$T/ec.key" "www-ed=$T/ed.key" "$@"
}

# What the agent was asked
requests() { grep -E '^(sign|decrypt) ' "$T/agent.log"; }
count_requests() { requests | wc -l; }

# ---- TLS clients ----

# handshake PORT S_CLIENT-OPTION...: completes, with a certificate that verifies
handshake() {
	local port=$1
	shift
	openssl_plain s_client -connect "127.0.0.1:$port" -servername localhost -CAfile "$T/all.crt" -verify_return_error \
		"$@" </dev/null
}

# handshake_shows PATTERN PORT S_CLIENT-OPTION...
handshake_shows() {
	local pattern=$1
	shift
	handshake "$@" | tee "$T/.handshake" | grep -q -- "$pattern" && return 0
	cat "$T/.handshake"
	return 1
}

# What a server with the RSA and the EC reference on one port must be able to do; one claim each.
check_handshakes() {
	local who=$1 port=$2
	ok "$who: TLS 1.3 with RSA-PSS" handshake_shows 'signature type: RSA-PSS' "$port" -tls1_3 \
		-sigalgs rsa_pss_rsae_sha256:RSA+SHA256
	ok "$who: TLS 1.3 with ECDSA" handshake_shows 'signature type: ECDSA' "$port" -tls1_3 \
		-sigalgs ecdsa_secp256r1_sha256
	ok "$who: TLS 1.2 ECDHE with RSA PKCS#1" handshake_shows 'signature type: RSA$' "$port" -tls1_2 \
		-cipher ECDHE-RSA-AES128-GCM-SHA256 -sigalgs RSA+SHA512
	ok "$who: TLS 1.2 ECDHE with RSA-PSS" handshake_shows 'signature type: RSA-PSS' "$port" -tls1_2 \
		-cipher ECDHE-RSA-AES128-GCM-SHA256 -sigalgs rsa_pss_rsae_sha256:RSA+SHA256
	ok "$who: TLS 1.2 ECDHE with ECDSA" handshake_shows 'signature type: ECDSA' "$port" -tls1_2 \
		-cipher ECDHE-ECDSA-AES128-GCM-SHA256
	ok "$who: TLS 1.2 RSA key exchange" handshake_shows 'Cipher is AES128-GCM-SHA256' "$port" -tls1_2 \
		-cipher AES128-GCM-SHA256
}

# fetch PORT CURL-OPTION...: prints the page
fetch() {
	local port=$1
	shift
	OPENSSL_CONF=/etc/ssl/openssl.cnf curl -sS --max-time 20 --cacert "$T/all.crt" \
		--resolve "localhost:$port:127.0.0.1" "$@" "https://localhost:$port/"
}

fetch_shows() {
	local pattern=$1
	shift
	fetch "$@" | grep -q -- "$pattern"
}

# eight_at_once PORT: handshakes in parallel, all succeed
eight_at_once() {
	local i pids=() bad=0
	for i in 1 2 3 4 5 6 7 8; do
		fetch "$1" >/dev/null &
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i" || bad=1; done
	return "$bad"
}

# ---- what a process has ----

threads_of() { ls "/proc/$1/task" | wc -l; }
fds_of() { ls "/proc/$1/fd" | wc -l; }
children_of() { pgrep -P "$1"; }

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The openssl command signs, decrypts and makes certificates with keys that it does not have.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/guests.sh"

skip_without openssl
make_keys
echo hello >"$T/short"
head -c 5000 /dev/urandom >"$T/long"

# ---- offline ----
for key in rsa ec ed; do
	openssl pkey -in "$T/$key.ref" -pubout -out "$T/out.pub"
	ok "$key: a reference loads without an agent" cmp "$T/out.pub" "$T/$key.pub"
done
ok "a failed signature says that the agent is not reachable, where, and for which key" \
	eval 'not openssl dgst -sha256 -sign "$T/rsa.ref" "$T/short" 2>"$T/err" >/dev/null &&
	grep -q "not reachable.*$SOCKET.*www-rsa" "$T/err"'
ok "no private key comes out" not openssl pkey -in "$T/rsa.ref"

{
	echo '-----BEGIN KEYFLEET KEY REFERENCE-----'
	printf '\x30\x03\x02\x01\x01' | base64
	echo '-----END KEYFLEET KEY REFERENCE-----'
} >"$T/newer.ref"
ok "a reference of a newer version is named as such" \
	eval 'openssl pkey -in "$T/newer.ref" -pubout 2>&1 | grep -q "newer version"'

# ---- signatures ----
start_agent "denied=$T/rsa.key,0,deny" "short=$T/rsa.key,0,short" "garbage=$T/rsa.key,0,garbage"

# signed KEY HASH FILE OPTION...
signed() {
	local key=$1 hash=$2 file=$3
	shift 3
	openssl dgst "-$hash" "$@" -sign "$T/$key.ref" -out "$T/sig" "$file" &&
		openssl_plain dgst "-$hash" "$@" -verify "$T/$key.pub" -signature "$T/sig" "$file" &&
		openssl dgst "-$hash" "$@" -prverify "$T/$key.ref" -signature "$T/sig" "$file"
}
for key in rsa ec; do
	for hash in sha1 sha256 sha384 sha512; do
		ok "$key signs with $hash" signed $key $hash "$T/short"
	done
	ok "$key signs what is too long to travel whole" signed $key sha256 "$T/long"
done
ok "short data travels whole" eval 'requests | grep -q "sign www-rsa data 6 hash SHA2-256"'
ok "long data travels as a digest" eval 'requests | grep -q "sign www-ec digest 32 hash SHA2-256"'
ok "RSA-PSS with a salt as long as the digest" signed rsa sha256 "$T/short" -sigopt rsa_padding_mode:pss \
	-sigopt rsa_pss_saltlen:digest
ok "RSA-PSS with the longest salt" signed rsa sha256 "$T/short" -sigopt rsa_padding_mode:pss

raw() { openssl_plain dgst -sha256 -binary -out "$T/digest" "$T/short"; }
raw
for key in rsa ec; do
	ok "$key signs a digest that is given" eval "openssl pkeyutl -sign -inkey $T/$key.ref -in $T/digest -out $T/sig \
		-pkeyopt digest:sha256 && openssl_plain pkeyutl -verify -pubin -inkey $T/$key.pub -in $T/digest \
		-sigfile $T/sig -pkeyopt digest:sha256"
done
ok "Ed25519 signs" eval 'openssl pkeyutl -sign -inkey "$T/ed.ref" -rawin -in "$T/long" -out "$T/sig" &&
	openssl_plain pkeyutl -verify -pubin -inkey "$T/ed.pub" -rawin -in "$T/long" -sigfile "$T/sig"'
ok "a wrong signature does not verify" \
	eval 'openssl dgst -sha256 -sign "$T/rsa.ref" -out "$T/sig" "$T/short" &&
	not openssl dgst -sha256 -prverify "$T/rsa.ref" -signature "$T/sig" "$T/long"'

# ---- certificates ----
for key in rsa ec ed; do
	ok "$key: a certificate is signed" eval "openssl req -new -x509 -key $T/$key.ref -subj /CN=x -out $T/new.crt &&
		openssl_plain verify -CAfile $T/new.crt $T/new.crt"
	ok "$key: a certificate request is signed" eval "openssl req -new -key $T/$key.ref -subj /CN=x -out $T/new.csr &&
		openssl_plain req -in $T/new.csr -verify -noout"
done
ok "a certificate is signed with RSA-PSS" eval 'openssl req -new -x509 -key "$T/rsa.ref" -subj /CN=x -out "$T/new.crt" \
	-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest && openssl_plain verify -CAfile "$T/new.crt" "$T/new.crt"'

# ---- decryption ----
# decrypted OPTION...
decrypted() {
	openssl_plain pkeyutl -encrypt -pubin -inkey "$T/rsa.pub" -in "$T/short" -out "$T/cipher" "$@" &&
		openssl pkeyutl -decrypt -inkey "$T/rsa.ref" -in "$T/cipher" -out "$T/plain" "$@" &&
		cmp "$T/short" "$T/plain"
}
ok "RSA decrypts PKCS#1 v1.5" decrypted
ok "RSA decrypts OAEP" decrypted -pkeyopt rsa_padding_mode:oaep
ok "RSA decrypts OAEP with SHA-256" decrypted -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256
ok "raw RSA is refused" eval 'not openssl pkeyutl -decrypt -inkey "$T/rsa.ref" -in "$T/cipher" \
	-pkeyopt rsa_padding_mode:none'

# ---- as a TLS client ----
pick_port PORT
start server env OPENSSL_CONF=/etc/ssl/openssl.cnf openssl s_server -accept "127.0.0.1:$PORT" -cert "$T/ec.crt" \
	-key "$T/ec.key" -CAfile "$T/all.crt" -Verify 1 -verify_return_error -quiet
wait_for 10 is_open "$PORT"
# authenticates VERSION KEY
authenticates() {
	openssl s_client -connect "127.0.0.1:$PORT" "-$1" -cert "$T/$2.crt" -key "$T/$2.ref" -CAfile "$T/all.crt" \
		-verify_return_error </dev/null
}
for version in tls1_2 tls1_3; do
	for key in rsa ec; do
		ok "$key authenticates a client of $version" authenticates $version $key
	done
done
stop server

# ---- refusals ----
# says PATTERN ID
says() {
	make_reference "$2" "$T/rsa.pub" "$T/other.ref"
	! openssl dgst -sha256 -sign "$T/other.ref" -out /dev/null "$T/short" 2>"$T/err" || return 1
	cat "$T/err"
	grep -q "$1" "$T/err"
}
ok "a refused permission is told" says "permission denied" denied
ok "an unknown key is told" says "no such object" missing
ok "a signature of the wrong size is refused" says "size that does not fit" short
ok "an answer that is no KMIP is refused" says "malformed\|ends too early" garbage
ok "a digest that key servers lack is refused" eval 'not openssl dgst -md5 -sign "$T/rsa.ref" "$T/short"'

# ---- everything else is as it was ----
for key in rsa ec ed; do
	ok "$key: a key file loads as before" eval "openssl pkey -in $T/$key.key -pubout | cmp - $T/$key.pub"
done
ok "an encrypted key file loads as before" eval 'openssl_plain pkey -in "$T/ec.key" -aes128 -passout pass:x \
	-out "$T/enc.key" && openssl pkey -in "$T/enc.key" -passin pass:x -pubout | cmp - "$T/ec.pub"'
ok "keys are generated as before" openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256
ok "a key file signs as before" eval 'openssl dgst -sha256 -sign "$T/rsa.key" -out "$T/sig" "$T/short" &&
	openssl_plain dgst -sha256 -verify "$T/rsa.pub" -signature "$T/sig" "$T/short"'

write_openssl_cnf "agent-uid = www-data"
ok "a mistyped setting is told when a key is used, not when the provider is loaded" \
	eval 'openssl pkey -in "$T/rsa.ref" -pubout | cmp - "$T/rsa.pub" &&
	not openssl dgst -sha256 -sign "$T/rsa.ref" -out /dev/null "$T/short" 2>"$T/err" && grep -q agent-uid "$T/err"'
done_testing

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A C program uses references the way servers do.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/guests.sh"

make_keys
cat "$T/ec.crt" "$T/rsa.pub" "$T/rsa.ref" "$T/rsa.crt" >"$T/bundle.pem"
start_agent
ok "a program uses the provider" "$BUILD/tests/provider-use" "$T"

sed -i '/^default = default_sect/d; s/^keyfleet = keyfleet_sect/&\ndefault = default_sect/' "$T/openssl.cnf"
ok "whoever lists keyfleet before the default provider is told" \
	eval 'openssl genpkey -algorithm EC -pkeyopt group:P-256 2>&1 | grep -q "default provider must be loaded before"'
ok "references still sign then" eval 'openssl dgst -sha256 -sign "$T/rsa.ref" -out "$T/sig" "$T/rsa.pub" &&
	openssl_plain dgst -sha256 -verify "$T/rsa.pub" -signature "$T/sig" "$T/rsa.pub"'
done_testing

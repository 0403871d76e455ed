/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet encrypt, decrypt, mac, hash, random: what a key server does with data, from standard input to standard
 * output.  What encrypt writes is the nonce (12 bytes), the ciphertext and the tag (16 bytes), for AES-GCM.
 */
#include "cli/call.h"
#include "kmip/decrypt.h"
#include "kmip/hash.h"
#include "kmip/mac.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NONCE = 12, TAG = 16, DATA_MAX = CALL_PAYLOAD_MAX - 4096 };

static kf_err read_input(struct cli *c, struct buf *ret)
{
	*ret = buf_new(DATA_MAX);
	for (size_t n = 1; n;) {
		uint8_t *to = buf_reserve(ret, 4096);
		if (!to) {
			cli_note(c,
				"standard input is larger than %d bytes: encrypt a "
				"key, and the data with that",
				DATA_MAX - 4096);
			return buf_err(ret);
		}
		n = fread(to, 1, 4096, stdin);
		buf_commit(ret, n);
	}
	return ferror(stdin) ? kf_fail(IO, "standard input") : KF_OK;
}

static kf_err write_output(struct slice s)
{
	if (s.n && fwrite(s.p, 1, s.n, stdout) != s.n)
		return kf_fail(IO, "standard output");
	return fflush(stdout) ? kf_fail(IO, "standard output") : KF_OK;
}

static kf_err find(struct cli *c, struct key_ids *ret)
{
	KF_TRY(cli_options(c, NULL, 0));
	KF_TRY(cli_operands(c, 1, 1));
	return key_find(c, c->argv[0], ret);
}

static struct decrypt_request gcm(const struct key_ids *key)
{
	return (struct decrypt_request){
		.uid = kmip_uid_text(slice_of(key->id)),
		.has_parameters = true,
		.parameters = { .block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_GCM },
		.has_data = true,
	};
}

static kf_err run_encrypt(struct cli *c)
{
	autobuf in = buf_new(DATA_MAX), answer = buf_new(CALL_PAYLOAD_MAX);
	autopayload p;
	struct key_ids key;
	struct decrypt_response a;

	payload_init(&p);
	KF_TRY(find(c, &key));
	KF_TRY(read_input(c, &in));
	struct decrypt_request q = gcm(&key);
	q.data = buf_slice(&in);
	encrypt_put_request(&p.w, &q);
	KF_TRY(cli_call(c, KMIP_OPERATION_ENCRYPT, &p, &answer));
	struct ttlv_reader r = answer_reader(&answer);
	KF_TRY(encrypt_get_response(&r, &a));
	if (a.iv.n != NONCE || a.tag.n != TAG)
		return kf_fail(MALFORMED, "the server's nonce and tag");
	KF_TRY(write_output(a.iv));
	KF_TRY(write_output(a.data));
	return write_output(a.tag);
}

static kf_err run_decrypt(struct cli *c)
{
	autobuf in = buf_new(DATA_MAX), answer = buf_new(CALL_PAYLOAD_MAX);
	autopayload p;
	struct key_ids key;
	struct decrypt_response a;

	payload_init(&p);
	KF_TRY(find(c, &key));
	KF_TRY(read_input(c, &in));
	if (in.n < NONCE + TAG) {
		cli_note(c, "this is not what `keyfleet encrypt` writes");
		return kf_fail(SHORT, "no nonce and tag");
	}
	struct decrypt_request q = gcm(&key);
	q.iv = (struct slice){ in.p, NONCE };
	q.data = (struct slice){ in.p + NONCE, in.n - NONCE - TAG };
	q.tag = (struct slice){ in.p + in.n - TAG, TAG };
	decrypt_put_request(&p.w, &q);
	KF_TRY(cli_call(c, KMIP_OPERATION_DECRYPT, &p, &answer));
	struct ttlv_reader r = answer_reader(&answer);
	KF_TRY(decrypt_get_response(&r, &a));
	return write_output(a.data);
}

static void print_hex(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		printf("%02x", s.p[i]);
	printf("\n");
}

static kf_err run_mac(struct cli *c)
{
	autobuf in = buf_new(DATA_MAX), answer = buf_new(CALL_PAYLOAD_MAX);
	autopayload p;
	struct key_ids key;
	struct mac_response a;

	payload_init(&p);
	KF_TRY(find(c, &key));
	KF_TRY(read_input(c, &in));
	const struct mac_request q = {
		.uid = kmip_uid_text(slice_of(key.id)),
		.has_parameters = true,
		.parameters = { .cryptographic_algorithm =
					KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA256 },
		.has_data = true,
		.data = buf_slice(&in),
	};
	mac_put_request(&p.w, &q);
	KF_TRY(cli_call(c, KMIP_OPERATION_MAC, &p, &answer));
	struct ttlv_reader r = answer_reader(&answer);
	KF_TRY(mac_get_response(&r, &a));
	print_hex(a.mac);
	return KF_OK;
}

/* Of the server, so that what it thinks of the bytes can be seen; no key has to do with it. */
static const struct digest_name {
	const char *name;
	uint32_t kmip;
} digest_names[] = {
	{ "sha256", KMIP_HASHING_ALGORITHM_SHA_256 },
	{ "sha384", KMIP_HASHING_ALGORITHM_SHA_384 },
	{ "sha512", KMIP_HASHING_ALGORITHM_SHA_512 },
	{ "sha3-256", KMIP_HASHING_ALGORITHM_SHA_3_256 },
	{ "sha3-384", KMIP_HASHING_ALGORITHM_SHA_3_384 },
	{ "sha3-512", KMIP_HASHING_ALGORITHM_SHA_3_512 },
};

static kf_err find_digest(struct cli *c, uint32_t *ret)
{
	const char *name = c->argc ? c->argv[0] : digest_names[0].name;
	for (size_t i = 0; i < sizeof(digest_names) / sizeof(*digest_names); i++)
		if (!strcmp(digest_names[i].name, name)) {
			*ret = digest_names[i].kmip;
			return KF_OK;
		}
	cli_note(c, "%s is none of sha256, sha384, sha512, sha3-256, sha3-384, sha3-512",
		name);
	return kf_fail(INVALID_FIELD, "see --help");
}

static kf_err run_hash(struct cli *c)
{
	autobuf in = buf_new(DATA_MAX), answer = buf_new(CALL_PAYLOAD_MAX);
	autopayload p;
	struct hash_request q = { .has_parameters = true, .has_data = true };
	struct hash_response a;

	payload_init(&p);
	KF_TRY(cli_options(c, NULL, 0));
	KF_TRY(cli_operands(c, 0, 1));
	KF_TRY(find_digest(c, &q.parameters.hashing_algorithm));
	KF_TRY(read_input(c, &in));
	q.data = buf_slice(&in);
	hash_put_request(&p.w, &q);
	KF_TRY(cli_call(c, KMIP_OPERATION_HASH, &p, &answer));
	struct ttlv_reader r = answer_reader(&answer);
	KF_TRY(hash_get_response(&r, &a));
	print_hex(a.data);
	return KF_OK;
}

static kf_err run_random(struct cli *c)
{
	autobuf answer = buf_new(CALL_PAYLOAD_MAX);
	autopayload p;
	struct rng_retrieve_response a;

	payload_init(&p);
	KF_TRY(cli_options(c, NULL, 0));
	KF_TRY(cli_operands(c, 1, 1));
	const long n = strtol(c->argv[0], NULL, 10);
	if (n < 1 || n > DATA_MAX) {
		cli_note(c, "BYTES is a number from 1 to %d", DATA_MAX);
		return kf_fail(INVALID_FIELD, "BYTES");
	}
	rng_retrieve_put_request(&p.w, &(struct rng_retrieve_request){ (int32_t)n });
	KF_TRY(cli_call(c, KMIP_OPERATION_RNG_RETRIEVE, &p, &answer));
	struct ttlv_reader r = answer_reader(&answer);
	KF_TRY(rng_retrieve_get_response(&r, &a));
	print_hex(a.data);
	return KF_OK;
}

const struct command command_encrypt = {
	.words = "encrypt",
	.args = "KEY",
	.summary = "encrypt standard input with an AES key that stays at the server",
	.help = "AES-GCM.  Writes the nonce (12 bytes), the ciphertext and the tag (16 "
		"bytes).\n",
	.run = run_encrypt,
};

const struct command command_decrypt = {
	.words = "decrypt",
	.args = "KEY",
	.summary = "decrypt what encrypt has written",
	.help = "Nothing is written unless all of it is genuine.\n",
	.run = run_decrypt,
};

const struct command command_mac = {
	.words = "mac",
	.args = "KEY",
	.summary = "print the HMAC-SHA-256 of standard input with a secret of the server",
	.help = "",
	.run = run_mac,
};

const struct command command_hash = {
	.words = "hash",
	.args = "[sha256|sha384|sha512|sha3-256|sha3-384|sha3-512]",
	.summary = "print the hash of standard input as the server computes it [sha256]",
	.help = "",
	.run = run_hash,
};

const struct command command_random = {
	.words = "random",
	.args = "BYTES",
	.summary = "print random bytes of the server's, in hex",
	.help = "",
	.run = run_random,
};

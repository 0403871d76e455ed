/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet mac, hash, random: what a key server does with data.  What does not fit into one message goes in several
 * (Correlation Value).
 */
#include "cli/call.h"
#include "cli/data.h"
#include "kmip/hash.h"
#include "kmip/mac.h"
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 256 << 10, RESULT_MAX = 64, RANDOM_MAX = CALL_PAYLOAD_MAX - 4096 };

/* ---- what came of it ---- */

static const char *const of_mac[] = { "ALGORITHM", "MAC" };
static const char *const of_verify[] = { "ALGORITHM", "VALID" };
static const char *const of_hash[] = { "ALGORITHM", "HASH" };
static const char *const of_random[] = { "BYTES", "RANDOM" };

static kf_err tell_row(const struct cli *c, const char *const titles[2], const char *how,
	const char *value)
{
	struct table *t = table_new(c, titles, 2);
	table_row(t, (const char *const[]){ how, value });
	return table_end(t, KF_OK);
}

/* Hexadecimal digits, by themselves for people and shells. */
static kf_err tell_bytes(const struct cli *c, const char *const titles[2],
	const char *how, struct slice bytes)
{
	autobuf hex = buf_new(2 * bytes.n + 1);
	for (size_t i = 0; i < bytes.n; i++)
		buf_printf(&hex, "%02x", bytes.p[i]);
	buf_add_u8(&hex, 0);
	KF_TRY(buf_err(&hex));
	if (c->is_json)
		return tell_row(c, titles, how, (const char *)hex.p);
	puts((const char *)hex.p);
	return KF_OK;
}

/* ---- in pieces ---- */

struct digesting;

/* One piece of it: `put` writes the request, `get` reads what came of it. */
struct digester {
	uint32_t operation;
	void (*put)(const struct digesting *d, struct slice piece, struct ttlv_writer *w);
	kf_err (*get)(struct digesting *d, struct ttlv_reader *r, struct slice *ret_next);
};

struct digesting {
	struct cli *cli;
	const struct digester *how;
	struct data_in in;
	struct cli_stream stream;
	struct key_ids key;
	const char *name;         /* of the algorithm */
	uint32_t algorithm, mode; /* of the MAC; algorithm: or the hash */
	struct slice given;       /* a MAC to be verified; empty: none */
	bool is_first, is_last, is_valid;
	struct buf result;
};

static void digesting_free(struct digesting *d)
{
	data_close(&d->in);
	cli_stream_clear(&d->stream);
	buf_free(&d->result);
}

static kf_err work_piece(struct digesting *d, struct slice piece)
{
	autobuf answer = buf_new(CALL_PAYLOAD_MAX);
	autopayload p;
	struct slice next;

	payload_init(&p);
	d->how->put(d, piece, &p.w);
	KF_TRY(cli_call_part(d->cli, d->how->operation, &p, &d->stream, &answer));
	struct ttlv_reader r = answer_reader(&answer);
	KF_TRY(d->how->get(d, &r, &next));
	return d->is_last ? KF_OK : cli_stream_next(&d->stream, next);
}

static kf_err take_result(struct digesting *d, struct slice bytes)
{
	if (d->is_last && !bytes.n)
		return kf_fail(MALFORMED, "the server has left the result out");
	buf_add_slice(&d->result, bytes);
	return buf_err(&d->result);
}

/* What is read last may be empty: the end is seen when nothing comes. */
static kf_err digest(struct digesting *d, const char *path)
{
	autobuf piece = buf_new(PIECE);
	d->result = buf_new(RESULT_MAX);
	KF_TRY(data_open(d->cli, path,
		ttlv_value_text(TTLV_KIND_OPERATION, d->how->operation), &d->in));
	for (d->is_first = true; !d->is_last; d->is_first = false) {
		buf_clear(&piece);
		KF_TRY(data_read(&d->in, PIECE, &piece));
		d->is_last = piece.n < PIECE;
		KF_TRY(work_piece(d, buf_slice(&piece)));
	}
	return KF_OK;
}

/* ---- mac ---- */

static struct mac_request mac_of(const struct digesting *d, struct slice piece)
{
	return (struct mac_request){
		.uid = kmip_uid_text(slice_of(d->key.id)),
		.has_parameters = d->is_first,
		.parameters = { .cryptographic_algorithm = d->algorithm,
			.block_cipher_mode = d->mode },
		.has_data = true,
		.data = piece,
		.mac = d->is_last ? d->given : (struct slice){ 0 },
		.correlation_value = buf_slice(&d->stream.id),
		.init_indicator = d->is_first && !d->is_last,
		.final_indicator = d->is_last && !d->is_first,
	};
}

static void put_mac(const struct digesting *d, struct slice piece, struct ttlv_writer *w)
{
	const struct mac_request q = mac_of(d, piece);
	mac_put_request(w, &q);
}

static kf_err get_mac(struct digesting *d, struct ttlv_reader *r, struct slice *ret_next)
{
	struct mac_response a;
	KF_TRY(mac_get_response(r, &a));
	*ret_next = a.correlation_value;
	return take_result(d, a.mac);
}

static void put_verify(
	const struct digesting *d, struct slice piece, struct ttlv_writer *w)
{
	const struct mac_request q = mac_of(d, piece);
	mac_verify_put_request(w, &q);
}

static kf_err get_verify(
	struct digesting *d, struct ttlv_reader *r, struct slice *ret_next)
{
	struct mac_verify_response a;
	KF_TRY(mac_verify_get_response(r, &a));
	*ret_next = a.correlation_value;
	d->is_valid = a.validity == KMIP_VALIDITY_INDICATOR_VALID;
	return KF_OK;
}

static const struct digester makes_mac = { KMIP_OPERATION_MAC, put_mac, get_mac };
static const struct digester verifies_mac = { KMIP_OPERATION_MAC_VERIFY, put_verify,
	get_verify };

static const struct mac_name {
	const char *name;
	uint32_t algorithm, mode;
} mac_names[] = {
	{ "hmac-sha256", KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA256, 0 },
	{ "hmac-sha384", KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA384, 0 },
	{ "hmac-sha512", KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA512, 0 },
	{ "cmac", KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, KMIP_BLOCK_CIPHER_MODE_CMAC },
};

static kf_err find_mac(struct digesting *d, const char *name)
{
	for (size_t i = 0; i < sizeof(mac_names) / sizeof(*mac_names); i++)
		if (!strcmp(mac_names[i].name, name)) {
			d->name = name;
			d->algorithm = mac_names[i].algorithm;
			d->mode = mac_names[i].mode;
			return KF_OK;
		}
	cli_note(d->cli, "%s is none of hmac-sha256, hmac-sha384, hmac-sha512, cmac",
		name);
	return kf_fail(INVALID_FIELD, "see --help");
}

static kf_err read_given(struct digesting *d, const char *hex, uint8_t into[RESULT_MAX])
{
	size_t n;
	if (OPENSSL_hexstr2buf_ex(into, RESULT_MAX, &n, hex, 0) != 1 || !n)
		return kf_fail(INVALID_FIELD, "--verify takes a code in hex");
	d->given = (struct slice){ into, n };
	return KF_OK;
}

static kf_err tell_mac(struct digesting *d)
{
	if (!d->given.n)
		return tell_bytes(d->cli, of_mac, d->name, buf_slice(&d->result));
	if (!d->is_valid)
		cli_note(d->cli, "%s: this is not its code", d->in.name);
	d->cli->exit_status = !d->is_valid;
	return d->cli->is_json
		       ? tell_row(d->cli, of_verify, d->name, d->is_valid ? "yes" : "no")
		       : KF_OK;
}

static kf_err run_mac(struct cli *c)
{
	CLEANUP(digesting_free)
	struct digesting d = { .cli = c, .in = { .cli = c }, .how = &makes_mac };
	const char *path = NULL, *name = mac_names[0].name, *given = NULL;
	uint8_t code[RESULT_MAX];
	const struct cli_option options[] = { { "in", &path, NULL },
		{ "algorithm", &name, NULL }, { "verify", &given, NULL } };
	KF_TRY(cli_options(c, options, 3));
	KF_TRY(cli_operands(c, 1, 1));
	KF_TRY(find_mac(&d, name));
	if (given) {
		KF_TRY(read_given(&d, given, code));
		d.how = &verifies_mac;
	}
	KF_TRY(key_find(c, c->argv[0], &d.key));
	KF_TRY(digest(&d, path));
	return tell_mac(&d);
}

/* ---- hash ---- */

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

static kf_err find_digest(struct digesting *d)
{
	const char *name = d->cli->argc ? d->cli->argv[0] : digest_names[0].name;
	for (size_t i = 0; i < sizeof(digest_names) / sizeof(*digest_names); i++)
		if (!strcmp(digest_names[i].name, name)) {
			d->name = name;
			d->algorithm = digest_names[i].kmip;
			return KF_OK;
		}
	cli_note(d->cli,
		"%s is none of sha256, sha384, sha512, sha3-256, sha3-384, sha3-512",
		name);
	return kf_fail(INVALID_FIELD, "see --help");
}

static void put_hash(const struct digesting *d, struct slice piece, struct ttlv_writer *w)
{
	const struct hash_request q = {
		.has_parameters = d->is_first,
		.parameters = { .hashing_algorithm = d->algorithm },
		.has_data = true,
		.data = piece,
		.correlation_value = buf_slice(&d->stream.id),
		.init_indicator = d->is_first && !d->is_last,
		.final_indicator = d->is_last && !d->is_first,
	};
	hash_put_request(w, &q);
}

static kf_err get_hash(struct digesting *d, struct ttlv_reader *r, struct slice *ret_next)
{
	struct hash_response a;
	KF_TRY(hash_get_response(r, &a));
	*ret_next = a.correlation_value;
	return take_result(d, a.data);
}

static const struct digester makes_hash = { KMIP_OPERATION_HASH, put_hash, get_hash };

static kf_err run_hash(struct cli *c)
{
	CLEANUP(digesting_free)
	struct digesting d = { .cli = c, .in = { .cli = c }, .how = &makes_hash };
	const char *path = NULL;
	const struct cli_option options[] = { { "in", &path, NULL } };
	KF_TRY(cli_options(c, options, 1));
	KF_TRY(cli_operands(c, 0, 1));
	KF_TRY(find_digest(&d));
	KF_TRY(digest(&d, path));
	return tell_bytes(c, of_hash, d.name, buf_slice(&d.result));
}

/* ---- random ---- */

static kf_err run_random(struct cli *c)
{
	autobuf answer = buf_new(CALL_PAYLOAD_MAX);
	autopayload p;
	struct rng_retrieve_response a;

	payload_init(&p);
	KF_TRY(cli_options(c, NULL, 0));
	KF_TRY(cli_operands(c, 1, 1));
	char *end;
	const long n = strtol(c->argv[0], &end, 10);
	if (*end || n < 1 || n > RANDOM_MAX) {
		cli_note(c, "BYTES is a number from 1 to %d", RANDOM_MAX);
		return kf_fail(INVALID_FIELD, "BYTES");
	}
	rng_retrieve_put_request(&p.w, &(struct rng_retrieve_request){ (int32_t)n });
	KF_TRY(cli_call(c, KMIP_OPERATION_RNG_RETRIEVE, &p, &answer));
	struct ttlv_reader r = answer_reader(&answer);
	KF_TRY(rng_retrieve_get_response(&r, &a));
	return tell_bytes(c, of_random, c->argv[0], a.data);
}

const struct command command_mac = {
	.words = "mac",
	.args = "KEY [--in FILE] [--algorithm hmac-sha256|...] [--verify HEX]",
	.summary =
		"print the message authentication code of data under a server's secret",
	.help = "  --in FILE         the data [standard input]\n"
		"  --algorithm NAME  hmac-sha256, hmac-sha384, hmac-sha512, cmac (AES) "
		"[hmac-sha256]\n"
		"  --verify HEX      is this the code?  Exit status 1: it is not\n"
		"\nA key for this: `keyfleet key create NAME --type hmac-sha256:256`.\n",
	.run = run_mac,
};

const struct command command_hash = {
	.words = "hash",
	.args = "[sha256|sha384|sha512|sha3-256|sha3-384|sha3-512] [--in FILE]",
	.summary = "print the hash of data as the server computes it [sha256]",
	.help = "  --in FILE  the data [standard input]\n",
	.run = run_hash,
};

const struct command command_random = {
	.words = "random",
	.args = "BYTES",
	.summary = "print random bytes of the server's, in hex",
	.help = "",
	.run = run_random,
};

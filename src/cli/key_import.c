/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/key_import.h"
#include "base/clock.h"
#include "base/conf.h"
#include "cli/call.h"
#include "crypt/keygen.h"
#include "kmip/register.h"
#include <stdio.h>
#include <string.h>

enum { KEY_FILE_MAX = 1 << 20 };

static int ask_file(const struct cli *c, const char *file, char *into, int size)
{
	autobuf bytes = buf_new(1024);
	if (!kf_ok(cli_read_secret(c, file, &bytes)) || bytes.n >= (size_t)size)
		return -1;
	memcpy(into, bytes.p, bytes.n);
	return (int)bytes.n;
}

int key_passphrase(const struct cli *c, const char *file, char *into, int size)
{
	return file ? ask_file(c, file, into, size)
		    : terminal_ask("pass phrase", into, size);
}

static int ask(void *arg, char *into, int size)
{
	const struct key_import *in = arg;
	return key_passphrase(in->cli, in->passphrase_file, into, size);
}

static kf_err read_pair(const struct key_import *in, struct keypair *ret)
{
	autobuf file = buf_new(KEY_FILE_MAX), why = buf_new(4096);
	kf_err e = conf_read_secret(in->file, &file, &why);
	if (!kf_ok(e)) {
		cli_note_lines(in->cli, &why);
		return e;
	}
	struct key_import asked = *in;
	return cli_file_error(
		in->cli, in->file, keypair_import(buf_slice(&file), ask, &asked, ret));
}

/* One half, registered with its attributes. */
struct half {
	uint32_t type, format, usage;
	struct slice bytes;
	const char *name, *suffix;
	const char *link; /* id of the other half, or NULL */
	uint32_t link_type;
	bool is_active;
};

static void put_attributes(const struct half *h, const struct alg *alg, struct buf *ret)
{
	char name[256];
	snprintf(name, sizeof(name), "%s%s", h->name, h->suffix);
	attrs_add_name(ret, slice_of(name));
	attrs_add_enum(ret, TAG_CRYPTOGRAPHIC_ALGORITHM, alg->kmip_algorithm);
	attrs_add_int(ret, TAG_CRYPTOGRAPHIC_LENGTH, (int32_t)alg->bits);
	attrs_add_int(ret, TAG_CRYPTOGRAPHIC_USAGE_MASK, (int32_t)h->usage);
	if (h->is_active)
		attrs_add_date(ret, TAG_ACTIVATION_DATE, clock_wall_s());
	if (h->link)
		attrs_add_link(ret, h->link_type, slice_of(h->link));
	if (h->type == KMIP_OBJECT_TYPE_PRIVATE_KEY) {
		attrs_add_bool(ret, TAG_SENSITIVE, true);
		attrs_add_bool(ret, TAG_EXTRACTABLE, false);
	}
}

static kf_err register_half(struct cli *c, const struct half *h, const struct alg *alg,
	char *ret_id, size_t size)
{
	autobuf attrs = buf_new(4096);
	put_attributes(h, alg, &attrs);
	KF_TRY(buf_err(&attrs));
	const struct register_request q = {
		.attributes = buf_slice(&attrs),
		.object = {
			.type = h->type,
			.block = {
				.format = h->format,
				.algorithm = alg->kmip_algorithm,
				.length = (int32_t)alg->bits,
				.has_value = true,
				.material = h->bytes,
			},
		},
	};
	autopayload p;
	payload_init(&p);
	register_put_request(&p.w, &q);
	autobuf answer = buf_new(CALL_PAYLOAD_MAX);
	KF_TRY(cli_call(c, KMIP_OPERATION_REGISTER, &p, &answer));
	struct ttlv_reader r = answer_reader(&answer);
	struct register_response a = { 0 };
	KF_TRY(register_get_response(&r, &a));
	return slice_to_text(a.uid.text, ret_id, size);
}

/* The public half first: the private one then links to it from its first moment, and a failure in
 * between leaves no private key that nobody can refer to. */
kf_err key_register(
	const struct key_import *in, const struct keypair *k, char *ret_id, size_t size)
{
	char public_id[KEY_ID_TEXT];
	const struct half public_half = {
		.type = KMIP_OBJECT_TYPE_PUBLIC_KEY,
		.format = KMIP_KEY_FORMAT_TYPE_X_509,
		.usage = KMIP_CRYPTOGRAPHIC_USAGE_MASK_VERIFY,
		.bytes = buf_slice(&k->spki),
		.name = in->name,
		.suffix = ".pub",
		.is_active = !in->is_inactive,
	};
	KF_TRY(register_half(
		in->cli, &public_half, k->alg, public_id, sizeof(public_id)));
	uint32_t usage = KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN;
	if (k->alg->family == FAMILY_RSA)
		usage |= KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT;
	const struct half private_half = {
		.type = KMIP_OBJECT_TYPE_PRIVATE_KEY,
		.format = KMIP_KEY_FORMAT_TYPE_PKCS_8,
		.usage = usage,
		.bytes = buf_slice(&k->pkcs8),
		.name = in->name,
		.suffix = "",
		.link = public_id,
		.link_type = KMIP_LINK_TYPE_PUBLIC_KEY_LINK,
		.is_active = !in->is_inactive,
	};
	return register_half(in->cli, &private_half, k->alg, ret_id, size);
}

kf_err key_import(const struct key_import *in, char *ret_id, size_t size)
{
	struct keypair k = { 0 };
	kf_err e = read_pair(in, &k);
	if (kf_ok(e))
		e = key_register(in, &k, ret_id, size);
	keypair_free(&k);
	return e;
}

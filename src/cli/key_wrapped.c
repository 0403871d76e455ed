/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/key_wrapped.h"
#include "base/clock.h"
#include "base/conf.h"
#include "cli/call.h"
#include "cli/key_usage.h"
#include "crypt/uuid.h"
#include "kmip/attrs.h"
#include "kmip/import.h"
#include "kmip/key_wrapping.h"
#include <string.h>

enum { WRAPPED_MAX = 64 << 10 };

kf_err key_wrap_mode(const struct cli *c, const char *text, struct key_wrap_mode *ret)
{
	static const struct key_wrap_mode modes[] = {
		{ "padded", KMIP_BLOCK_CIPHER_MODE_AESKEYWRAPPADDING, 0 },
		{ "nist", KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP, 0 },
		{ "cbc", KMIP_BLOCK_CIPHER_MODE_CBC, 16 },
		{ "gcm", KMIP_BLOCK_CIPHER_MODE_GCM, 12 },
	};
	if (!text) {
		*ret = (struct key_wrap_mode){ 0 };
		return KF_OK;
	}
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++)
		if (!strcmp(text, modes[i].name)) {
			*ret = modes[i];
			return KF_OK;
		}
	cli_note(c, "--mode %s is none of padded, nist, cbc, gcm", text);
	return kf_fail(INVALID_FIELD, "see --help");
}

/* ---- what is in the file ---- */

struct importing {
	const struct key_wrapped *k;
	struct key_wrap_mode mode;
	struct symmetric_type type;
	uint32_t usage;
	struct key_ids kek;
	struct buf file;
};

static kf_err read_options(struct importing *i)
{
	const struct key_wrapped *k = i->k;
	KF_TRY(key_wrap_mode(k->cli, k->mode, &i->mode));
	if (!k->type)
		return kf_fail(INVALID_FIELD, "--type: of which kind is it, as aes:256");
	if (!symmetric_type_read(k->type, &i->type)) {
		cli_note(k->cli,
			"%s: there is aes:128, aes:192, aes:256, chacha20:256 and "
			"hmac-sha256:256 (384, 512)",
			k->type);
		return kf_fail(INVALID_FIELD, "unknown type of key");
	}
	i->usage = i->type.usage;
	return k->use ? key_usage_read(k->cli, k->use, &i->usage) : KF_OK;
}

static kf_err read_file(struct importing *i)
{
	autobuf why = buf_new(4096);
	i->file = buf_new(WRAPPED_MAX);
	const kf_err err = conf_read_file(i->k->file, &i->file, &why);
	cli_note_lines(i->k->cli, &why);
	KF_TRY(err);
	return i->file.n > i->mode.iv_size
		       ? KF_OK
		       : cli_file_error(i->k->cli, i->k->file,
				 kf_fail(MALFORMED, "no wrapped key is in it"));
}

/* ---- what is asked for ---- */

static kf_err put_attributes(const struct importing *i, struct buf *set)
{
	attrs_add_name(set, slice_of(i->k->name));
	attrs_add_enum(set, TAG_CRYPTOGRAPHIC_ALGORITHM, i->type.algorithm);
	attrs_add_int(set, TAG_CRYPTOGRAPHIC_LENGTH, i->type.bits);
	attrs_add_int(set, TAG_CRYPTOGRAPHIC_USAGE_MASK, (int32_t)i->usage);
	/* What came wrapped leaves wrapped. */
	attrs_add_bool(set, TAG_SENSITIVE, true);
	if (!i->k->is_inactive)
		attrs_add_date(set, TAG_ACTIVATION_DATE, clock_wall_s() - 1);
	return buf_err(set);
}

/* As `key export` asked for it; what a public key has wrapped its private key unwraps. */
static kf_err put_wrapping(const struct importing *i, struct slice iv, struct buf *item)
{
	struct ttlv_writer w = ttlv_write(item, 0);
	const char *id = i->kek.public_key[0] ? i->kek.public_key : i->kek.id;
	key_wrapping_data_put(
		&w, &(struct key_wrapping){
			    .method = KMIP_WRAPPING_METHOD_ENCRYPT,
			    .encryption = { .is_there = true,
				    .uid = kmip_uid_text(slice_of(id)),
				    .has_parameters = i->mode.mode != 0,
				    .parameters = { .block_cipher_mode = i->mode.mode } },
			    .iv = iv,
			    .encoding = KMIP_ENCODING_OPTION_NO_ENCODING,
		    });
	return ttlv_written(&w);
}

/* Register would keep what it cannot unwrap. */
static kf_err put_request(const struct importing *i, struct ttlv_writer *w)
{
	const size_t iv_n = i->mode.iv_size;
	autobuf set = buf_new(4096), how = buf_new(4096);
	char id[UUID_TEXT];
	/* Import has the client choose.  By chance alone: this host's clock is nothing to the servers, whose own ids
	 * are in the order of theirs. */
	KF_TRY(uuid_random(id));
	KF_TRY(put_attributes(i, &set));
	KF_TRY(put_wrapping(i, (struct slice){ i->file.p, iv_n }, &how));
	const struct import_request q = {
		.uid = kmip_uid_text(slice_of(id)),
		.key_wrap_type = KMIP_KEY_WRAP_TYPE_NOT_WRAPPED,
		.attributes = buf_slice(&set),
		.object = { .type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY,
			.block = { .format = KMIP_KEY_FORMAT_TYPE_RAW,
				.algorithm = i->type.algorithm,
				.length = i->type.bits,
				.has_value = true,
				.is_wrapped = true,
				.is_encoded = true,
				.wrapping_data = buf_slice(&how),
				.material = { i->file.p + iv_n, i->file.n - iv_n } } },
	};
	import_put_request(w, &q);
	return ttlv_written(w);
}

static kf_err import(struct importing *i, char *ret_id, size_t size)
{
	autobuf answer = buf_new(CALL_PAYLOAD_MAX);
	autopayload p;
	struct import_response a = { 0 };
	KF_TRY(read_options(i));
	KF_TRY(read_file(i));
	KF_TRY(key_find(i->k->cli, i->k->by, &i->kek));
	payload_init(&p);
	KF_TRY(put_request(i, &p.w));
	const kf_err err = cli_call_slow(i->k->cli, KMIP_OPERATION_IMPORT, &p, &answer);
	if (kf_is(err, KF_E_WRAP_TYPE))
		cli_note(i->k->cli,
			"%s: it is not for unwrapping, not active, or not for you",
			i->k->by);
	KF_TRY(err);
	struct ttlv_reader r = answer_reader(&answer);
	KF_TRY(import_get_response(&r, &a));
	return slice_to_text(a.uid.text, ret_id, size);
}

kf_err key_wrapped_import(const struct key_wrapped *k, char *ret_id, size_t size)
{
	struct importing i = { .k = k };
	const kf_err err = import(&i, ret_id, size);
	buf_free(&i.file);
	return err;
}

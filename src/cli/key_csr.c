/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/key_csr.h"
#include "kmip/sign.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct remote_signer {
	struct cli *cli;
	const char *id;
};

/* The data travel whole, so that the key server sees that it signs a request for this very key. */
static kf_err sign_info(
	void *arg, const struct mech *mech, struct slice info, struct buf *sig)
{
	const struct remote_signer *s = arg;
	const struct hash *hash = hash_get(mech->hash);
	const struct sign_request q = {
		.uid = kmip_uid_text(slice_of(s->id)),
		.has_parameters = true,
		.parameters = {
			.padding_method = mech->kmip_padding,
			.hashing_algorithm = hash ? hash->kmip : 0,
			.digital_signature_algorithm = mech->kmip_signature,
		},
		.has_data = true,
		.data = info,
	};
	autopayload p;
	payload_init(&p);
	sign_put_request(&p.w, &q);
	autobuf answer = buf_new(CALL_PAYLOAD_MAX);
	KF_TRY(cli_call(s->cli, KMIP_OPERATION_SIGN, &p, &answer));
	struct ttlv_reader r = answer_reader(&answer);
	struct sign_response a = { 0 };
	KF_TRY(sign_get_response(&r, &a));
	buf_add_slice(sig, a.signature);
	return buf_err(sig);
}

kf_err key_csr_names(char *text, const char **ret, size_t max)
{
	size_t n = 0;
	char *state = NULL;
	for (char *name = strtok_r(text, ", ", &state); name;
		name = strtok_r(NULL, ", ", &state)) {
		if (n + 1 == max)
			return kf_fail(TOO_BIG, "too many names");
		ret[n++] = name;
	}
	ret[n] = NULL;
	return KF_OK;
}

static bool is_address(const char *name)
{
	return !strncasecmp(name, "ip:", 3) || strchr(name, ':') ||
	       strspn(name, "0123456789.") == strlen(name);
}

/* The first that is a DNS name and fits; NULL: none. */
static const char *common_name(const char *const *sans)
{
	for (size_t i = 0; sans[i]; i++) {
		const char *name = sans[i] + (strncasecmp(sans[i], "dns:", 4) ? 0 : 4);
		if (!is_address(name) && strlen(name) <= NAME_MAX_BYTES)
			return name;
	}
	return NULL;
}

/* NULL: the names are all there is. */
static const char *choose_subject(
	const struct key_csr *q, const char *const *sans, char *cn, size_t size)
{
	const char *name = sans[0] ? common_name(sans) : q->key;
	if (q->subject || !name)
		return q->subject;
	snprintf(cn, size, "CN=%s", name);
	return cn;
}

kf_err key_csr_make(struct cli *c, const struct key_csr *q, const struct key_ids *ids,
	struct buf *ret)
{
	char text[KEY_CSR_NAMES_MAX] = "", cn[256];
	const char *sans[SAN_MAX + 1];
	KF_TRY(slice_to_text(slice_of(q->names), text, sizeof(text)));
	KF_TRY(key_csr_names(text, sans, SAN_MAX + 1));

	autobuf spki = buf_new(SPKI_MAX);
	KF_TRY(key_spki(c, ids, &spki));
	struct remote_signer signer = { c, ids->id };
	const struct csr_wish wish = {
		.spki = buf_slice(&spki),
		.subject = choose_subject(q, sans, cn, sizeof(cn)),
		.sans = sans[0] ? sans : NULL,
		.sign = sign_info,
		.arg = &signer,
	};
	return csr_make(&wish, ret);
}

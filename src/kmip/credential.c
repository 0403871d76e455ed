/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/credential.h"
#include "kmip/wire.h"

static void get_password(struct ttlv_reader *r, struct kmip_credential *ret)
{
	ttlv_open(r, TAG_CREDENTIAL_VALUE);
	ttlv_get_text(r, TAG_USERNAME, &ret->username);
	ttlv_opt_text(r, TAG_PASSWORD, &ret->password);
	ttlv_close(r);
}

static void get_credential(struct ttlv_reader *r, struct kmip_credential *ret)
{
	struct slice unread;
	*ret = (struct kmip_credential){ 0 };
	ttlv_open(r, TAG_CREDENTIAL);
	ttlv_get_enum(r, TAG_CREDENTIAL_TYPE, &ret->type);
	if (ret->type == KMIP_CREDENTIAL_TYPE_USERNAME_AND_PASSWORD)
		get_password(r, ret);
	else
		ttlv_get_content(r, TAG_CREDENTIAL_VALUE, &unread);
	ttlv_close(r);
}

kf_err kmip_get_authentication(const struct ttlv_reader *message, struct slice item,
	struct kmip_authentication *ret)
{
	struct ttlv_reader r = ttlv_read_like(message, item);
	*ret = (struct kmip_authentication){ 0 };
	ttlv_open(&r, TAG_AUTHENTICATION);
	do {
		if (ret->n == CREDENTIALS_MAX)
			return kf_fail(TOO_BIG, "too many credentials");
		get_credential(&r, &ret->credential[ret->n++]);
	} while (ttlv_at(&r, TAG_CREDENTIAL));
	ttlv_close(&r);
	return ttlv_done(&r);
}

void kmip_put_authentication(struct ttlv_writer *w, const struct kmip_authentication *a)
{
	ttlv_begin(w, TAG_AUTHENTICATION);
	for (size_t i = 0; i < a->n; i++) {
		ttlv_begin(w, TAG_CREDENTIAL);
		ttlv_put_enum(w, TAG_CREDENTIAL_TYPE, a->credential[i].type);
		ttlv_begin(w, TAG_CREDENTIAL_VALUE);
		ttlv_put_text(w, TAG_USERNAME, a->credential[i].username);
		wire_put_text(w, TAG_PASSWORD, a->credential[i].password);
		ttlv_end(w);
		ttlv_end(w);
	}
	ttlv_end(w);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "token/schsm/card.h"
#include "token/schsm/pcsc.h"

static kf_err open_card(
	struct token_source *s, const struct token_place *place, struct token **ret)
{
	struct card_link *link;
	KF_TRY(pcsc_connect(s, place->name, &link));
	struct token *t;
	KF_TRY(schsm_open_link(link, &t));
	pcsc_opened(link);
	*ret = t;
	return KF_OK;
}

static void interrupt(struct token *t) { t->link->ops->interrupt(t->link); }

static const struct token_facts *facts(struct token *t) { return &t->facts; }

/* Eight random bytes: no other command is as cheap and needs no login. */
static kf_err probe(struct token *t)
{
	uint8_t random[8];
	return schsm_random(t, random, sizeof(random));
}

const struct token_driver schsm_driver = {
	.name = "smartcard-hsm",
	.open_source = pcsc_open_source,
	.close_source = pcsc_close_source,
	.watch = pcsc_watch,
	.wake = pcsc_wake,
	.open = open_card,
	.close = schsm_close,
	.interrupt = interrupt,
	.facts = facts,
	.login = schsm_login,
	.list_keys = schsm_list_keys,
	.probe = probe,
	.sign = schsm_sign,
	.decrypt_raw = schsm_decrypt_raw,
	.use = schsm_use,
	.wrap_max = 128,
	.blocks_max = 1024,
	.initialise = schsm_initialise,
	.change_pin = schsm_change_pin,
	.import_share = schsm_import_share,
	.generate = schsm_generate,
	.delete_key = schsm_delete_key,
	.wrap = schsm_wrap,
	.unwrap = schsm_unwrap,
	.store_certificate = schsm_store_certificate,
	.identify = schsm_identify,
	.random = schsm_random,
};

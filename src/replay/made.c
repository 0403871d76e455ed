/* SPDX-License-Identifier: Apache-2.0 */
#include "replay/made.h"
#include <string.h>

enum when {
	INPUT_IS_FOREIGN,
	ALWAYS,
	OBJECT_WAS_MADE,
	SERVER_CHOSE_IV,
	PADDING_IS_RANDOM,
	SALT_IS_RANDOM,
	TELLS_OF_LIBRARY
};

static const struct row {
	uint32_t operation, field;
	enum when when;
	struct replay_made made;
} table[] = {
#define MADE(operation, field, when, why)                                                \
	{ KMIP_OPERATION_##operation, TAG_##field, when,                                 \
		{ why, when == OBJECT_WAS_MADE } },
#include "replay/made.def"
};

/* ---- what is known of objects ---- */

/* "<identifier>\0<what>" */
static void name_fact(struct buf *to, struct slice uid, const char *what)
{
	buf_add_slice(to, uid);
	buf_add_u8(to, 0);
	buf_add_text(to, what);
}

static bool find_fact(const struct replay_scope *s, struct slice uid, const char *what,
	struct slice *ret)
{
	autobuf name = buf_new(REPLAY_FILE_MAX);
	name_fact(&name, uid, what);
	return uid.n && kf_ok(buf_err(&name)) &&
	       replay_find(&s->objects, buf_slice(&name), ret);
}

static void keep_fact(
	struct replay_scope *s, struct slice uid, const char *what, struct slice value)
{
	autobuf name = buf_new(REPLAY_FILE_MAX);
	name_fact(&name, uid, what);
	if (kf_ok(buf_err(&name)))
		replay_bind(&s->objects, buf_slice(&name), value);
}

static bool makes_objects(uint32_t operation)
{
	switch (operation) {
	case KMIP_OPERATION_CREATE:
	case KMIP_OPERATION_CREATE_KEY_PAIR:
	case KMIP_OPERATION_DERIVE_KEY:
	case KMIP_OPERATION_RE_KEY:
	case KMIP_OPERATION_RE_KEY_KEY_PAIR: return true;
	default: return false;
	}
}

static bool is_of_pair(const struct replay_node *request)
{
	const struct replay_node *type =
		request ? replay_child(request, TAG_OBJECT_TYPE) : NULL;
	return type &&
	       (!strcmp(type->text, "PublicKey") || !strcmp(type->text, "PrivateKey"));
}

/* Somewhere below: a parameter among attributes, or in Cryptographic Parameters. */
static bool has_value(const struct replay_node *n, uint32_t tag, const char *text)
{
	for (const struct replay_node *c = n ? n->first : NULL; c; c = c->next)
		if ((replay_subject(c) == tag && !strcmp(c->text, text)) ||
			has_value(c, tag, text))
			return true;
	return false;
}

static bool is_salted(const struct replay_node *request)
{
	return has_value(request, TAG_PADDING_METHOD, "PSS") &&
	       !has_value(request, TAG_SALT_LENGTH, "0");
}

/* What is derived from what the client registered can be told beforehand. */
static bool derives_from_registered(
	const struct replay_item *i, const struct replay_scope *s)
{
	const struct replay_node *from =
		i->operation == KMIP_OPERATION_DERIVE_KEY && i->request
			? replay_child(i->request, TAG_UNIQUE_IDENTIFIER)
			: NULL;
	struct slice uid, made;
	const struct slice name = { from ? (const uint8_t *)from->text : NULL,
		from ? from->n : 0 };
	return from && replay_find(&s->vars, name, &uid) &&
	       find_fact(s, uid, "made", &made) && !made.n;
}

void replay_learn(
	const struct replay_item *i, struct slice answer_payload, struct replay_scope *s)
{
	bool is_made = makes_objects(i->operation) && !derives_from_registered(i, s);
	bool is_pair =
		is_of_pair(i->request) || i->operation == KMIP_OPERATION_CREATE_KEY_PAIR;
	if (!makes_objects(i->operation) && i->operation != KMIP_OPERATION_REGISTER &&
		i->operation != KMIP_OPERATION_IMPORT)
		return;
	struct ttlv_reader r = ttlv_read(answer_payload);
	struct ttlv_item it;
	while (ttlv_next(&r, &it)) {
		if (it.tag != TAG_UNIQUE_IDENTIFIER &&
			it.tag != TAG_PRIVATE_KEY_UNIQUE_IDENTIFIER &&
			it.tag != TAG_PUBLIC_KEY_UNIQUE_IDENTIFIER)
			continue;
		keep_fact(s, it.value, "made", is_made ? SLICE_LIT("1") : SLICE_LIT(""));
		keep_fact(s, it.value, "pair", is_pair ? SLICE_LIT("1") : SLICE_LIT(""));
		keep_fact(s, it.value, "salted",
			is_salted(i->request) ? SLICE_LIT("1") : SLICE_LIT(""));
	}
}

static bool is_so(const struct replay_scope *s, struct slice uid, const char *what)
{
	struct slice value;
	return find_fact(s, uid, what, &value) && value.n;
}

/* ---- the table ---- */

static bool has_no_padding(const struct replay_item *i)
{
	static const uint32_t path[] = { TAG_CRYPTOGRAPHIC_PARAMETERS, TAG_PADDING_METHOD,
		0 };
	const struct replay_node *p = replay_child_at(i->request, path);
	return p && !strcmp(p->text, "None");
}

static bool tells_of_library(const struct replay_item *i)
{
	const struct replay_node *f = replay_child(i->request, TAG_PKCS_11_FUNCTION);
	return f && !strcmp(f->text, "C_GetInfo");
}

/* What is decrypted is not what this server has encrypted. */
static bool has_foreign_input(const struct replay_item *i, const struct replay_scope *s)
{
	const struct replay_node *data =
		i->request ? replay_child(i->request, TAG_DATA) : NULL;
	struct slice ours;
	return data && is_so(s, i->uid, "made") && !replay_is_variable(data) &&
	       !replay_stands_for(s, data, &ours);
}

/* The answer is to have a vector that the request has not. */
static bool server_chose_iv(
	const struct replay_node *expected, const struct replay_item *i)
{
	return i->request && !replay_child(i->request, TAG_IV_COUNTER_NONCE) &&
	       expected->parent && replay_child(expected->parent, TAG_IV_COUNTER_NONCE);
}

static bool holds(enum when when, const struct replay_node *expected,
	const struct replay_item *i, const struct replay_scope *s)
{
	switch (when) {
	case ALWAYS: return true;
	case INPUT_IS_FOREIGN: return has_foreign_input(i, s);
	case OBJECT_WAS_MADE: return is_so(s, i->uid, "made");
	case SERVER_CHOSE_IV: return server_chose_iv(expected, i);
	case PADDING_IS_RANDOM:
		return i->request && is_so(s, i->uid, "pair") && !has_no_padding(i);
	case SALT_IS_RANDOM: return is_salted(i->request) || is_so(s, i->uid, "salted");
	case TELLS_OF_LIBRARY: return i->request && tells_of_library(i);
	}
	return false;
}

/* The field itself, what is in it, or the attribute whose value it is. */
static bool is_in(const struct replay_node *n, uint32_t field)
{
	for (; n; n = n->parent)
		if (n->tag == field || replay_subject(n) == field)
			return true;
	return false;
}

const struct replay_made *replay_made(const struct replay_node *expected,
	const struct replay_item *i, const struct replay_scope *s)
{
	/* Only what is made of bytes is made up: formats, algorithms and lengths are not. */
	if (expected->type != TTLV_BYTES && expected->type != TTLV_BIGINT)
		return NULL;
	for (size_t k = 0; k < sizeof(table) / sizeof(table[0]); k++)
		if (table[k].operation == i->operation &&
			is_in(expected, table[k].field) &&
			holds(table[k].when, expected, i, s))
			return &table[k].made;
	return NULL;
}

bool replay_made_again(const struct replay_node *expected, const struct replay_item *i,
	struct replay_scope *s, struct slice value)
{
	autobuf what = buf_new(REPLAY_FILE_MAX);
	struct slice before;
	buf_printf(&what, "%06x=%s", (unsigned)expected->tag, expected->text);
	buf_add_u8(&what, 0);
	if (!kf_ok(buf_err(&what)))
		return false;
	if (find_fact(s, i->uid, (const char *)what.p, &before))
		return slice_eq(before, value);
	keep_fact(s, i->uid, (const char *)what.p, value);
	return true;
}

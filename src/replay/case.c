/* SPDX-License-Identifier: Apache-2.0 */
#include "replay/case.h"
#include "replay/value.h"
#include <expat.h>
#include <stdlib.h>
#include <string.h>

struct reader {
	XML_Parser xml;
	struct replay_node *at; /* the open element */
	struct buf *why;
	size_t nodes;
	unsigned depth;
	bool is_remark; /* in a line "# TIME 1" between messages */
	kf_err err;
};

/* The first mistake is told; then nothing more is read. */
static void refuse(struct reader *r, const char *text, const char *word)
{
	if (!kf_ok(r->err))
		return;
	buf_printf(
		r->why, "%lu: %s", (unsigned long)XML_GetCurrentLineNumber(r->xml), text);
	if (word)
		buf_printf(r->why, " `%.*s`", (int)strnlen(word, 80), word);
	buf_add_text(r->why, "\n");
	r->err = kf_fail(MALFORMED, "the file is no test case");
	XML_StopParser(r->xml, XML_FALSE);
}

static void refuse_document_type(void *arg, const char *name, const char *system,
	const char *public, int has_subset)
{
	(void)system, (void)public, (void)has_subset;
	refuse(arg, "document types are not read:", name);
}

static const char *attribute(const char **pairs, const char *name)
{
	for (; *pairs; pairs += 2)
		if (!strcmp(pairs[0], name))
			return pairs[1];
	return NULL;
}

static struct replay_node *new_node(struct reader *r, const char *text)
{
	size_t n = text ? strlen(text) : 0;
	struct replay_node *node = calloc(1, sizeof(*node) + n + 1);
	if (!node)
		return NULL;
	if (n)
		memcpy(node->text, text, n);
	node->n = n;
	node->is_empty = !text;
	node->parent = r->at;
	node->line = (unsigned)XML_GetCurrentLineNumber(r->xml);
	return node;
}

static void append(struct replay_node *parent, struct replay_node *child)
{
	if (parent->last)
		parent->last->next = child;
	else
		parent->first = child;
	parent->last = child;
}

/* A name that was broken over lines, as in HTML, has runs of spaces. */
static void squeeze(struct replay_node *n)
{
	size_t to = 0;
	for (size_t i = 0; i < n->n; i++)
		if (!slice_is_space((uint8_t)n->text[i]))
			n->text[to++] = n->text[i];
		else if (to && n->text[to - 1] != ' ')
			n->text[to++] = ' ';
	n->n = to;
	n->text[to] = 0;
}

/* <TTLV tag="0x540001" ...> is what has no name. */
static uint32_t tag_of(const char *element, const char **pairs)
{
	const char *number = attribute(pairs, "tag");
	if (strcmp(element, "TTLV") != 0 || !number)
		return replay_tag(slice_of(element));
	return (uint32_t)strtoul(number, NULL, 16) & 0xffffff;
}

static bool may_open(struct reader *r, const char *element)
{
	if (r->depth > TTLV_DEPTH || r->nodes >= REPLAY_NODES_MAX) {
		refuse(r, "too many elements, or nested too deep, at", element);
		return false;
	}
	if (!r->depth && strcmp(element, "KMIP") != 0 &&
		strcmp(element, "KmipTestCase") != 0) {
		refuse(r, "a case begins with `KMIP`, not", element);
		return false;
	}
	return kf_ok(r->err);
}

static void start_element(void *arg, const char *element, const char **pairs)
{
	struct reader *r = arg;
	r->is_remark = false;
	if (!may_open(r, element))
		return;
	r->nodes++;
	if (!r->depth++) /* the root is there already */
		return;
	const char *type = attribute(pairs, "type");
	struct replay_node *n = new_node(r, attribute(pairs, "value"));
	if (!n) {
		r->err = kf_fail(NOMEM, "reading a test case");
		XML_StopParser(r->xml, XML_FALSE);
		return;
	}
	append(r->at, n);
	r->at = n;
	n->tag = tag_of(element, pairs);
	n->type = type ? replay_type(slice_of(type)) : TTLV_STRUCT;
	if (n->tag == TAG_ATTRIBUTE_NAME)
		squeeze(n);
	if (!n->tag)
		refuse(r, "unknown tag", element);
	if (!n->type)
		refuse(r, "unknown type", type);
}

static void end_element(void *arg, const char *element)
{
	(void)element;
	struct reader *r = arg;
	if (!kf_ok(r->err))
		return;
	r->depth--;
	if (r->at->type != TTLV_STRUCT && r->at->first)
		refuse(r, "a value has elements of its own:", element);
	if (r->at->parent)
		r->at = r->at->parent;
}

static void text_between(void *arg, const char *s, int n)
{
	struct reader *r = arg;
	for (int i = 0; i < n; i++) {
		r->is_remark =
			s[i] != '\n' && (r->is_remark || (s[i] == '#' && r->depth == 1));
		if (r->is_remark || slice_is_space((uint8_t)s[i]))
			continue;
		refuse(r, "text between elements", NULL);
		return;
	}
}

static void say_error(struct reader *r, kf_err *e)
{
	if (!kf_ok(r->err)) {
		*e = r->err;
		return;
	}
	refuse(r, XML_ErrorString(XML_GetErrorCode(r->xml)), NULL);
	*e = r->err;
}

static kf_err parse(struct reader *r, struct slice xml)
{
	kf_err e = KF_OK;
	XML_SetUserData(r->xml, r);
	XML_SetElementHandler(r->xml, start_element, end_element);
	XML_SetCharacterDataHandler(r->xml, text_between);
	XML_SetStartDoctypeDeclHandler(r->xml, refuse_document_type);
	if (XML_Parse(r->xml, (const char *)xml.p, (int)xml.n, 1) != XML_STATUS_OK)
		say_error(r, &e);
	return e;
}

static kf_err pair_up(struct replay_case *c, struct buf *why)
{
	uint32_t wanted = TAG_REQUEST_MESSAGE;
	for (const struct replay_node *n = c->root->first; n; n = n->next) {
		if (n->tag != wanted) {
			buf_printf(why, "%u: a request and its answer take turns\n",
				n->line);
			return kf_fail(MALFORMED, "the file is no test case");
		}
		c->exchanges += wanted == TAG_RESPONSE_MESSAGE;
		wanted = wanted == TAG_REQUEST_MESSAGE ? TAG_RESPONSE_MESSAGE
						       : TAG_REQUEST_MESSAGE;
	}
	if (c->exchanges && wanted == TAG_REQUEST_MESSAGE)
		return KF_OK;
	buf_add_text(why, "1: there is no request with an answer\n");
	return kf_fail(MALFORMED, "the file is no test case");
}

static unsigned number_at(const struct replay_node *n, uint32_t tag)
{
	const struct replay_node *v = replay_child_at(
		n, (uint32_t[]){ TAG_REQUEST_HEADER, TAG_PROTOCOL_VERSION, tag, 0 });
	return v ? (unsigned)strtoul(v->text, NULL, 10) & 0xff : 0;
}

kf_err replay_case_read(struct slice xml, struct buf *why, struct replay_case *ret)
{
	*ret = (struct replay_case){ .root = calloc(1, sizeof(struct replay_node) + 1) };
	if (!ret->root)
		return kf_fail(NOMEM, "reading a test case");
	if (xml.n > REPLAY_FILE_MAX)
		return kf_fail(TOO_BIG, "the test case is too long");
	struct reader r = { .xml = XML_ParserCreate(NULL), .at = ret->root, .why = why };
	if (!r.xml)
		return kf_fail(NOMEM, "reading a test case");
	ret->root->type = TTLV_STRUCT;
	kf_err e = parse(&r, xml);
	XML_ParserFree(r.xml);
	KF_TRY(e);
	KF_TRY(pair_up(ret, why));
	ret->version =
		(uint16_t)(number_at(ret->root->first, TAG_PROTOCOL_VERSION_MAJOR) << 8 |
			   number_at(ret->root->first, TAG_PROTOCOL_VERSION_MINOR));
	return KF_OK;
}

/* Depth was limited when it was read. */
static void free_node(struct replay_node *n)
{
	for (struct replay_node *c = n->first, *next; c; c = next) {
		next = c->next;
		free_node(c);
	}
	free(n);
}

void replay_case_clear(struct replay_case *c)
{
	if (c->root)
		free_node(c->root);
	*c = (struct replay_case){ 0 };
}

const struct replay_node *replay_child(const struct replay_node *n, uint32_t tag)
{
	n = n->first;
	while (n && n->tag != tag)
		n = n->next;
	return n;
}

const struct replay_node *replay_next(const struct replay_node *n)
{
	uint32_t tag = n->tag;
	do
		n = n->next;
	while (n && n->tag != tag);
	return n;
}

const struct replay_node *replay_child_at(
	const struct replay_node *n, const uint32_t *path)
{
	for (; n && *path; path++)
		n = replay_child(n, *path);
	return n;
}

kf_err replay_case_set_version(struct replay_case *c, uint16_t version)
{
	if (c->version >> 8 != version >> 8)
		return kf_fail(CONFLICT, "the case is for another major version");
	for (struct replay_node *m = c->root->first; m; m = m->next) {
		uint32_t header = m->tag == TAG_REQUEST_MESSAGE ? TAG_REQUEST_HEADER
								: TAG_RESPONSE_HEADER;
		const uint32_t path[] = { header, TAG_PROTOCOL_VERSION,
			TAG_PROTOCOL_VERSION_MINOR, 0 };
		struct replay_node *minor =
			(struct replay_node *)(uintptr_t)replay_child_at(m, path);
		if (!minor || minor->n != 1)
			return kf_fail(MALFORMED, "a message without its version");
		minor->text[0] = (char)('0' + (version & 0xff));
	}
	c->version = version;
	return KF_OK;
}

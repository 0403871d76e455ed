/* SPDX-License-Identifier: Apache-2.0 */
#include "replay/rule.h"
#include <string.h>

bool rule_is_free(const struct replay_node *expected, const struct replay_item *i)
{
	switch (replay_subject(expected)) {
	case TAG_TIME_STAMP:
	case TAG_RESULT_MESSAGE:
	case TAG_SERVER_CORRELATION_VALUE:
	case TAG_CLIENT_CORRELATION_VALUE:
	case TAG_ASYNCHRONOUS_CORRELATION_VALUE:
	/* When this server made or changed the object, and for how long it lends it. */
	case TAG_INITIAL_DATE:
	case TAG_LAST_CHANGE_DATE:
	case TAG_ORIGINAL_CREATION_DATE:
	case TAG_LEASE_TIME: return true;
	/* Which generator a server has is no question of conformance. */
	case TAG_RANDOM_NUMBER_GENERATOR:
	case TAG_RNG_PARAMETERS: return expected->type == TTLV_STRUCT;
	case TAG_SERVER_INFORMATION: return true;
	case TAG_VENDOR_IDENTIFICATION: return i->operation == KMIP_OPERATION_QUERY;
	default: return false;
	}
}

/* The attribute or field with this moment, anywhere below. */
static bool has_moment(const struct replay_node *n, const struct replay_node *expected)
{
	for (const struct replay_node *c = n->first; c; c = c->next)
		if ((c->tag == expected->tag &&
			    replay_subject(c) == replay_subject(expected) &&
			    !strcmp(c->text, expected->text)) ||
			has_moment(c, expected))
			return true;
	return false;
}

bool rule_was_sent(const struct replay_node *expected, const struct replay_node *request)
{
	while (request && request->parent && request->parent->tag)
		request = request->parent;
	const struct replay_node *m = request ? request->parent->first : NULL;
	for (; m; m = m->next) {
		if (m->tag == TAG_REQUEST_MESSAGE && has_moment(m, expected))
			return true;
		if (m == request)
			return false;
	}
	return false;
}

/* Set by what the server does with the object, if the client does not set it. */
static bool is_set_by_server(uint32_t attribute)
{
	switch (attribute) {
	case TAG_ACTIVATION_DATE:
	case TAG_PROCESS_START_DATE:
	case TAG_PROTECT_STOP_DATE:
	case TAG_DEACTIVATION_DATE:
	case TAG_COMPROMISE_DATE:
	case TAG_ARCHIVE_DATE:
	case TAG_DESTROY_DATE: return true;
	default: return false;
	}
}

bool rule_is_server_clock(
	const struct replay_node *expected, const struct replay_node *request)
{
	return (replay_is_now(expected) ||
		       (expected->type == TTLV_DATE &&
			       is_set_by_server(replay_subject(expected)))) &&
	       !rule_was_sent(expected, request);
}

bool rule_may_be_absent(uint32_t tag)
{
	return tag == TAG_RESULT_MESSAGE || tag == TAG_SERVER_CORRELATION_VALUE ||
	       tag == TAG_CLIENT_CORRELATION_VALUE || tag == TAG_ATTRIBUTE_INDEX;
}

static bool is_list_of_names(const struct replay_item *i)
{
	return i->operation == KMIP_OPERATION_GET_ATTRIBUTE_LIST;
}

bool rule_is_name(const struct replay_node *expected, const struct replay_item *i)
{
	return is_list_of_names(i) && expected->type != TTLV_STRUCT;
}

bool rule_is_member(
	const struct replay_node *parent, uint32_t tag, const struct replay_item *i)
{
	if (parent->tag == TAG_ATTRIBUTES || parent->tag == TAG_COMMON_ATTRIBUTES)
		return true;
	if (tag == TAG_ATTRIBUTE_NAME || tag == TAG_ATTRIBUTE_REFERENCE)
		return parent->tag == TAG_RESPONSE_PAYLOAD && is_list_of_names(i);
	return tag == TAG_ATTRIBUTE;
}

static struct slice name_in(const struct ttlv_item *attribute)
{
	struct ttlv_reader r = ttlv_read(attribute->value);
	struct ttlv_item it;
	while (ttlv_next(&r, &it))
		if (it.tag == TAG_ATTRIBUTE_NAME)
			return it.value;
	return (struct slice){ 0 };
}

bool rule_is_same_member(const struct replay_node *expected, const struct ttlv_item *it)
{
	if (expected->tag != it->tag)
		return false;
	if (expected->tag != TAG_ATTRIBUTE || it->type != TTLV_STRUCT)
		return true;
	const struct replay_node *name = replay_child(expected, TAG_ATTRIBUTE_NAME);
	return name && slice_is(name_in(it), name->text);
}

bool rule_takes_more(const struct replay_node *parent, const struct replay_item *i)
{
	if (is_list_of_names(i))
		return true;
	return i->operation == KMIP_OPERATION_GET_ATTRIBUTES && i->request &&
	       (parent->tag == TAG_ATTRIBUTES || parent->tag == TAG_RESPONSE_PAYLOAD) &&
	       !replay_child(i->request, TAG_ATTRIBUTE_NAME) &&
	       !replay_child(i->request, TAG_ATTRIBUTE_REFERENCE);
}

bool rule_is_list(const struct replay_node *parent, const struct replay_item *i)
{
	return i->operation == KMIP_OPERATION_QUERY &&
	       parent->tag == TAG_RESPONSE_PAYLOAD;
}

bool rule_may_be_empty(uint32_t tag)
{
	return tag != TAG_OPERATION && tag != TAG_OBJECT_TYPE &&
	       tag != TAG_VENDOR_IDENTIFICATION;
}

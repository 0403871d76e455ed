/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet key set: attributes of a key, by their names.
 */
#include "cli/call.h"
#include "kmip/change_attribute.h"
#include <ctype.h>
#include <string.h>

/* --- which attribute --- */

/* As people write it: "activation-date" is "Activation Date". */
static bool is_called(const struct attr_info *info, struct slice name)
{
	const char *text = attr_name(info);
	for (; *text && name.n; text++, name.p++, name.n--)
		if (tolower((unsigned char)*text) != tolower(name.p[0]) &&
			!(*text == ' ' && (name.p[0] == '-' || name.p[0] == '_')))
			return false;
	return !*text && !name.n;
}

static const struct attr_info *find(struct slice name)
{
	const struct attr_info *info;
	for (size_t i = 0; (info = attr_info_each(i)); i++)
		if (info->tag != TAG_ATTRIBUTE && info->until >= KMIP_2_1 &&
			is_called(info, name))
			return info;
	return NULL;
}

static bool is_custom(struct slice name)
{
	return name.n > 2 && name.p[0] == 'x' && name.p[1] == '-';
}

/* --- its value --- */

static bool split(struct slice text, char at, struct slice *left, struct slice *right)
{
	const uint8_t *p = text.n ? memchr(text.p, at, text.n) : NULL;
	if (!p)
		return false;
	*left = (struct slice){ text.p, (size_t)(p - text.p) };
	*right = (struct slice){ p + 1, text.n - left->n - 1 };
	return true;
}

/* Numbers, dates and words as `key show` prints them. */
static kf_err add_word(const struct attr_info *info, struct slice value, struct buf *set)
{
	static const struct {
		enum ttlv_type type;
		const char *word;
	} words[] = { { TTLV_INT, "Integer" }, { TTLV_LONG, "Long" },
		{ TTLV_ENUM, "Enumeration" }, { TTLV_BOOL, "Boolean" },
		{ TTLV_DATE, "Date" }, { TTLV_INTERVAL, "Interval" } };
	const uint16_t types = ttlv_tag(info->tag)->types;
	autobuf line = buf_new(1024);

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (!(types & 1u << words[i].type))
			continue;
		buf_printf(&line, "%s = %s ", attr_name(info), words[i].word);
		buf_add_slice(&line, value);
		buf_add_text(&line, "\n");
		KF_TRY(buf_err(&line));
		return ttlv_parse(buf_slice(&line), set);
	}
	return kf_fail(INVALID_FIELD, "this attribute cannot be set by its name");
}

/* NAMESPACE:DATA; without the data the server makes it. */
static void add_application(struct buf *set, struct slice value)
{
	struct slice namespace = value, data = { 0 };
	struct ttlv_writer w = ttlv_write(set, 0);
	const bool has_data = split(value, ':', &namespace, &data);

	ttlv_begin(&w, TAG_APPLICATION_SPECIFIC_INFORMATION);
	ttlv_put_text(&w, TAG_APPLICATION_NAMESPACE, namespace);
	if (has_data)
		ttlv_put_text(&w, TAG_APPLICATION_DATA, data);
	ttlv_end(&w);
}

/* "1000 objects", "4096 bytes" */
static kf_err add_limits(struct buf *set, struct slice value)
{
	struct slice number, unit;
	int64_t total = 0;
	struct ttlv_writer w = ttlv_write(set, 0);

	if (!split(value, ' ', &number, &unit) || !number.n || number.n > 18 ||
		(!slice_is(unit, "objects") && !slice_is(unit, "bytes")))
		return kf_fail(INVALID_FIELD, "\"NUMBER objects\" or \"NUMBER bytes\"");
	for (size_t i = 0; i < number.n; i++) {
		if (number.p[i] < '0' || number.p[i] > '9')
			return kf_fail(INVALID_FIELD, "limits are a number");
		total = total * 10 + number.p[i] - '0';
	}
	ttlv_begin(&w, TAG_USAGE_LIMITS);
	ttlv_put_long(&w, TAG_USAGE_LIMITS_TOTAL, total);
	ttlv_put_enum(&w, TAG_USAGE_LIMITS_UNIT,
		slice_is(unit, "bytes") ? KMIP_USAGE_LIMITS_UNIT_BYTE
					: KMIP_USAGE_LIMITS_UNIT_OBJECT);
	ttlv_end(&w);
	return KF_OK;
}

static kf_err add_standard(
	const struct attr_info *info, struct slice value, struct buf *set)
{
	switch (info->tag) {
	case TAG_NAME: attrs_add_name(set, value); return KF_OK;
	case TAG_USAGE_LIMITS: return add_limits(set, value);
	case TAG_APPLICATION_SPECIFIC_INFORMATION:
		add_application(set, value);
		return KF_OK;
	default: break;
	}
	if (!(ttlv_tag(info->tag)->types & 1u << TTLV_TEXT))
		return add_word(info, value, set);
	attrs_add_text(set, info->tag, value);
	return KF_OK;
}

/* --- the operations --- */

static kf_err ask(struct cli *c, uint32_t operation, enum attribute_change kind,
	const struct change_attribute_request *q)
{
	autopayload p;
	payload_init(&p);
	change_attribute_put_request(&p.w, kind, q);
	return cli_tell(c, operation, &p);
}

static kf_err parse(
	const struct cli *c, struct slice name, struct slice value, struct buf *set)
{
	const struct attr_info *info = find(name);
	kf_err e = KF_OK;

	if (is_custom(name)) {
		attrs_add_vendor_text(set, slice_of("x"),
			(struct slice){ name.p + 2, name.n - 2 }, value);
		return buf_err(set);
	}
	e = info ? add_standard(info, value, set)
		 : kf_fail(INVALID_FIELD, "no such attribute");
	if (kf_ok(e))
		return buf_err(set);
	cli_note(c, "%.*s: %s; see `keyfleet key show` for names and values", (int)name.n,
		(const char *)name.p, e.site->text);
	return e;
}

/* What may have several values gets one more, all else a new one. */
static kf_err set_one(
	struct cli *c, const struct kmip_uid *uid, struct slice name, struct slice value)
{
	const struct attr_info *info = find(name);
	const bool adds = info && info->is_multi;
	autobuf set = buf_new(CALL_PAYLOAD_MAX);

	KF_TRY(parse(c, name, value, &set));
	return ask(c, adds ? KMIP_OPERATION_ADD_ATTRIBUTE : KMIP_OPERATION_SET_ATTRIBUTE,
		adds ? ATTRIBUTE_ADD : ATTRIBUTE_SET,
		&(struct change_attribute_request){
			.uid = *uid, .new_attribute = buf_slice(&set) });
}

/* One value, or without one all of them. */
static kf_err remove_one(struct cli *c, const struct kmip_uid *uid, struct slice text)
{
	struct change_attribute_request q = { .uid = *uid };
	struct slice name = text, value;
	autobuf set = buf_new(CALL_PAYLOAD_MAX);

	if (split(text, '=', &name, &value)) {
		KF_TRY(parse(c, name, value, &set));
		q.current_attribute = buf_slice(&set);
	} else {
		const struct attr_info *info = find(name);
		q.has_ref = true;
		q.ref.tag = info ? info->tag : TAG_ATTRIBUTE;
		q.ref.vendor = slice_of("x");
		q.ref.name = (struct slice){ name.p + 2, name.n > 2 ? name.n - 2 : 0 };
		if (info)
			q.ref.vendor = q.ref.name = (struct slice){ 0 };
		if (!info && !is_custom(name))
			return parse(c, name, name, &set);
	}
	return ask(c, KMIP_OPERATION_DELETE_ATTRIBUTE, ATTRIBUTE_DELETE, &q);
}

static kf_err run_set(struct cli *c)
{
	struct cli_list removed = { 0 };
	const struct cli_option options[] = { { "remove", .list = &removed,
		.takes_one = true } };
	struct key_ids ids;

	KF_TRY(cli_options(c, options, 1));
	KF_TRY(cli_operands(c, removed.n ? 1 : 2, CLI_LIST_MAX));
	KF_TRY(key_find(c, c->argv[0], &ids));
	const struct kmip_uid uid = kmip_uid_text(slice_of(ids.id));
	for (size_t i = 0; i < removed.n; i++)
		KF_TRY(remove_one(c, &uid, slice_of(removed.item[i])));
	for (int i = 1; i < c->argc; i++) {
		struct slice name, value;
		if (!split(slice_of(c->argv[i]), '=', &name, &value)) {
			cli_note(c, "%s: NAME=VALUE", c->argv[i]);
			return kf_fail(INVALID_FIELD, "see --help");
		}
		KF_TRY(set_one(c, &uid, name, value));
	}
	return KF_OK;
}

const struct command command_key_set = {
	.words = "key set",
	.args = "NAME|ID [--remove ATTRIBUTE[=VALUE]]... ATTRIBUTE=VALUE...",
	.summary = "change attributes of a key",
	.help = "  --remove ATTRIBUTE=VALUE  take this value away; without VALUE all of "
		"them\n"
		"\nATTRIBUTE is a name that `keyfleet key show` prints, in any case, "
		"with "
		"- for blanks, or\n"
		"x-NAME for one of your own. What may have several values (name, "
		"object-group) gets one\n"
		"more. VALUE is written as `key show` prints it:\n"
		"  deactivation-date=2027-01-31T12:00:00Z   sensitive=true   "
		"contact-information=ops\n"
		"  usage-limits=\"1000 objects\"   "
		"application-specific-information=NAMESPACE:DATA\n",
	.run = run_set,
};

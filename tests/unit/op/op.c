/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/discover_versions.h"
#include "kmip/query.h"
#include "world.h"

TEST(every_row_is_found_by_its_code_and_no_other_code_finds_one)
{
	size_t rows = 0, found = 0;

	for (const struct op *op; (op = op_each(rows)); rows++) {
		OK(op_find(op->code) == op);
		OK(op->permission && op->name && op->decode && op->start && op->answer);
	}
	for (uint32_t code = 0; code < 0x200; code++) {
		found += op_find(code) != NULL;
		found += op_find(0x806b6580u + code) != NULL;
	}
	EQ(found, rows);
	OK(!op_find(0xffffffff));
	OK(!op_find(0x80000000));
}

TEST(what_tokens_did_is_not_done_once_more_after_a_conflict)
{
	WORLD(w);
	w.call->op = op_find(KMIP_OPERATION_CREATE_KEY_PAIR);
	w.call->server = &w.server;
	w.call->who = &w.who;
	w.call->is_slow = true;
	w.call->change.err = kf_fail(CONFLICT, "somebody was first");
	EQ(op_committed(w.call), OP_FAIL);
	OK(kf_is(w.call->err, KF_E_CONFLICT));
}

TEST(an_operation_newer_than_the_version_is_not_supported)
{
	WORLD(w);
	struct pair p;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_p256(&w, NULL, &p)));

	OK(kf_ok(sign_text(&w, &p.private_key, "x")));
	w.version = KMIP_1_1;
	OK(kf_is(ask(&w, KMIP_OPERATION_SIGN), KF_E_UNSUPPORTED));
}

TEST(the_life_of_a_key_works_in_every_version)
{
	const uint16_t versions[] = { KMIP_1_0, KMIP_1_1, KMIP_1_2, KMIP_1_3, KMIP_1_4,
		KMIP_2_0, KMIP_2_1 };

	for (size_t i = 0; i < sizeof(versions) / sizeof(*versions); i++) {
		WORLD(w);
		struct id id;
		struct pair p;
		struct get_response a;
		OK(kf_ok(let_alice_create(&w)));
		w.version = versions[i];
		OK(kf_ok(create_aes(&w, "name", &id)));
		OK(kf_ok(get(&w, &id, &a)));
		EQ(a.object.block.material.n, 32);
		EQ(located_by_name(&w, "name", NULL), 1);
		OK(kf_ok(activate(&w, &id)));
		EQ(state_of(&w, &id), STATE_ACTIVE);
		OK(kf_ok(revoke(&w, &id, 1)));
		OK(kf_ok(destroy(&w, &id)));
		OK(kf_ok(create_p256(&w, "pair", &p)));
		EQ(kf_ok(sign_text(&w, &p.private_key, "x")), versions[i] >= KMIP_1_2);
	}
}

TEST(nothing_newer_than_the_version_leaves)
{
	for (uint16_t version = KMIP_1_0; version <= KMIP_1_4; version++) {
		WORLD(w);
		struct pair p;
		OK(kf_ok(let_alice_create(&w)));
		OK(kf_ok(create_p256(&w, "k", &p)));
		w.version = version;
		OK(kf_ok(attributes(&w, &p.private_key)));
		OK(ttlv_fits(buf_slice(&w.answer), version));
		bool sensitive = false;
		EQ(attrs_get_bool(buf_slice(&w.attrs), TAG_SENSITIVE, &sensitive),
			version >= KMIP_1_4);
	}
}

/* --- discovery --- */

TEST(discover_versions_and_query_answer_everybody)
{
	WORLD(w);
	struct discover_versions_response versions;
	struct query_response facts;
	be(&w, "nobody", false);

	struct ttlv_writer q = question(&w);
	discover_versions_put_request(&q, &(struct discover_versions_request){ 0 });
	OK(kf_ok(ask(&w, KMIP_OPERATION_DISCOVER_VERSIONS)));
	struct ttlv_reader r = answer(&w);
	OK(kf_ok(discover_versions_get_response(&r, &versions)));
	EQ(versions.version[0], KMIP_2_1);

	q = question(&w);
	query_put_request(
		&q, &(struct query_request){ .n = 5, .function = { 1, 2, 3, 8, 11 } });
	OK(kf_ok(ask(&w, KMIP_OPERATION_QUERY)));
	r = answer(&w);
	OK(kf_ok(query_get_response(&r, &facts)));
	OK(facts.operations >= 15 && facts.object_types == 7);
	OK(slice_is(facts.server_version, "1.2.3"));
	OK(facts.more.n > 0);
	for (size_t i = 0; i < facts.operations; i++)
		OK(facts.operation[i] < 0x80000000);
}

TEST(no_version_is_offered_that_is_not_spoken_where_the_client_came_in)
{
	WORLD(w);
	struct discover_versions_response a;
	struct ttlv_writer q = question(&w);
	w.call->newest = KMIP_1_2;
	discover_versions_put_request(&q, &(struct discover_versions_request){ 0 });
	OK(kf_ok(ask(&w, KMIP_OPERATION_DISCOVER_VERSIONS)));
	struct ttlv_reader r = answer(&w);
	OK(kf_ok(discover_versions_get_response(&r, &a)));
	EQ(a.n, 3);
	EQ(a.version[0], KMIP_1_2);
	EQ(a.version[2], KMIP_1_0);
}

/* The first profile that is named, 0: none. */
static uint32_t first_profile(struct world *w, uint16_t version)
{
	struct query_response facts;
	struct ttlv_item it;
	uint32_t name = 0;
	w->version = version;
	struct ttlv_writer q = question(w);
	query_put_request(&q, &(struct query_request){ .n = 3,
				      .function = { KMIP_QUERY_FUNCTION_QUERY_RNGS,
					      KMIP_QUERY_FUNCTION_QUERY_PROFILES,
					      KMIP_QUERY_FUNCTION_QUERY_CAPABILITIES } });
	if (!kf_ok(ask(w, KMIP_OPERATION_QUERY)))
		return UINT32_MAX;
	struct ttlv_reader r = answer(w);
	if (!kf_ok(query_get_response(&r, &facts)) || !ttlv_fits(facts.more, version))
		return UINT32_MAX;
	r = ttlv_read(facts.more);
	while (ttlv_next(&r, &it) && it.tag != TAG_PROFILE_INFORMATION)
		;
	struct ttlv_reader in = ttlv_read(it.value);
	ttlv_get_enum(&in, TAG_PROFILE_NAME, &name);
	return name;
}

TEST(query_names_the_profiles_of_the_version)
{
	WORLD(w);
	EQ(first_profile(&w, KMIP_2_1), KMIP_PROFILE_NAME_BASELINE_SERVER);
	EQ(first_profile(&w, KMIP_1_4),
		KMIP_PROFILE_NAME_BASELINE_SERVER_BASIC_KMIP_V1_4);
	EQ(first_profile(&w, KMIP_1_3),
		KMIP_PROFILE_NAME_BASELINE_SERVER_BASIC_KMIP_V1_3);
}

TEST(query_names_only_operations_of_the_version)
{
	WORLD(w);
	struct query_response facts;
	w.version = KMIP_1_0;

	struct ttlv_writer q = question(&w);
	query_put_request(&q, &(struct query_request){ .n = 1, .function = { 1 } });
	OK(kf_ok(ask(&w, KMIP_OPERATION_QUERY)));
	struct ttlv_reader r = answer(&w);
	OK(kf_ok(query_get_response(&r, &facts)));

	for (size_t i = 0; i < facts.operations; i++)
		OK(facts.operation[i] != KMIP_OPERATION_SIGN &&
			facts.operation[i] != KMIP_OPERATION_DISCOVER_VERSIONS);
}

/* --- repeated requests --- */

static void use_request_id(struct world *w, uint8_t id)
{
	memset(w->request_id, id, sizeof(w->request_id));
	w->has_request_id = true;
}

TEST(a_repeated_create_makes_no_second_key)
{
	WORLD(w);
	struct id first, second;
	OK(kf_ok(let_alice_create(&w)));
	use_request_id(&w, 7);

	OK(kf_ok(create_aes(&w, NULL, &first)));
	OK(kf_ok(create_aes(&w, NULL, &second)));

	OK(!strcmp(first.text, second.text));
	OK(!strcmp(w.call->placeholder, first.text));
	EQ(catalog_count(w.server.catalog), 1);
}

TEST(a_repeated_pair_with_names_is_the_same_pair)
{
	WORLD(w);
	struct pair first, second;
	OK(kf_ok(let_alice_create(&w)));
	use_request_id(&w, 8);

	OK(kf_ok(create_p256(&w, "www", &first)));
	OK(kf_ok(create_p256(&w, "www", &second)));

	OK(!strcmp(first.private_key.text, second.private_key.text));
	OK(!strcmp(first.public_key.text, second.public_key.text));
	w.has_request_id = false;
	OK(kf_is(create_p256(&w, "www", &second), KF_E_NAME_NOT_UNIQUE));
	use_request_id(&w, 9);
	OK(kf_is(create_p256(&w, "www", &second), KF_E_NAME_NOT_UNIQUE));
}

TEST(a_repeated_step_of_life_is_a_success_and_a_new_one_is_not)
{
	WORLD(w);
	struct id id;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_aes(&w, NULL, &id)));

	use_request_id(&w, 1);
	OK(kf_ok(activate(&w, &id)));
	OK(kf_ok(activate(&w, &id)));
	use_request_id(&w, 2);
	OK(kf_is(activate(&w, &id), KF_E_STATE));
	OK(kf_ok(revoke(&w, &id, 1)));
	OK(kf_ok(revoke(&w, &id, 1)));
	use_request_id(&w, 3);
	OK(kf_ok(destroy(&w, &id)));
	OK(kf_ok(destroy(&w, &id)));
	use_request_id(&w, 4);
	OK(kf_is(destroy(&w, &id), KF_E_DESTROYED_BEFORE));
}

static void be_too_late(struct world *w) { w->call->change.deadline_ns = 1; }

/* "It exists already" would tell a client that its first request had failed. */
TEST(whether_it_is_a_repetition_is_left_open_while_the_store_cannot_tell)
{
	WORLD(w);
	struct pair first, second;
	OK(kf_ok(let_alice_create(&w)));
	use_request_id(&w, 8);
	OK(kf_ok(create_p256(&w, "www", &first)));

	w.before_commit = be_too_late;
	OK(kf_is(create_p256(&w, "www", &second), KF_E_UNAVAILABLE));

	OK(kf_ok(create_p256(&w, "www", &second)));
	OK(!strcmp(first.private_key.text, second.private_key.text));
}

TEST(a_request_id_is_not_for_another_request)
{
	WORLD(w);
	struct id one, two;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_aes(&w, NULL, &one)));
	OK(kf_ok(create_aes(&w, NULL, &two)));
	use_request_id(&w, 5);

	OK(kf_ok(activate(&w, &one)));
	OK(kf_is(activate(&w, &two), KF_E_INVALID_FIELD));
	EQ(state_of(&w, &two), STATE_PRE_ACTIVE);
}

/* --- somebody else is faster --- */

static struct id contested;

/* Another server activates the object while our change is on its way. */
static void change_it(struct world *w)
{
	const struct object *was =
		catalog_find(w->server.catalog, slice_of(contested.text));
	autobuf attrs = buf_new(65536);
	struct change c = { .n = 1 };
	struct object *o = NULL;
	sem_t done;

	buf_add_slice(&attrs, was->attrs);
	attrs_set_date(&attrs, TAG_LAST_CHANGE_DATE, NOW + 1);
	const struct object_parts parts = { .id = slice_of(was->id),
		.owner = slice_of(was->owner),
		.attrs = buf_slice(&attrs),
		.type = was->type,
		.version = was->version + 1 };
	if (!kf_ok(object_new(&parts, &o)))
		abort();
	c.m[0].expected_version = was->version;
	c.m[0].object.object = o;
	c.m[0].object.was = object_ref(was);
	sem_init(&done, 0, 0);
	c.done = wake;
	c.arg = &done;
	if (!kf_ok(store_submit(w->store, &c)))
		abort();
	while (sem_wait(&done))
		;
	sem_destroy(&done);
}

static void destroy_it(struct world *w)
{
	change_it(w);
	w->before_commit = change_it;
}

TEST(a_change_that_came_second_looks_again)
{
	WORLD(w);
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_aes(&w, NULL, &contested)));

	w.before_commit = change_it;
	OK(kf_ok(activate(&w, &contested)));
	w.before_commit = destroy_it; /* twice in a row */
	OK(kf_ok(revoke(&w, &contested, 1)));

	EQ(state_of(&w, &contested), STATE_DEACTIVATED);
	const struct object *o = catalog_find(w.server.catalog, slice_of(contested.text));
	EQ(o->version, 6);
}

TEST(the_placeholder_stands_for_the_object_that_was_made)
{
	WORLD(w);
	struct id id;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_aes(&w, NULL, &id)));

	OK(kf_ok(activate(&w, NULL)));

	EQ(state_of(&w, &id), STATE_ACTIVE);
	memset(w.call->placeholder, 0, sizeof(w.call->placeholder));
	OK(kf_is(activate(&w, NULL), KF_E_NO_IDENTIFIER));
}

TEST(the_rule_is_told_for_the_record)
{
	WORLD(w);
	struct id id;
	OK(kf_ok(let_alice_create(&w)));

	OK(kf_ok(create_aes(&w, NULL, &id)));
	EQ(strlen(w.rule), 36); /* the grant */
	OK(kf_ok(activate(&w, &id)));
	OK(!strcmp(w.rule, "owner"));
	be(&w, "root", true);
	OK(kf_ok(revoke(&w, &id, 1)));
	OK(!strcmp(w.rule, "admin"));
}

TEST(a_payload_cut_anywhere_is_refused_and_leaks_nothing)
{
	WORLD(w);
	struct pair p;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_p256(&w, NULL, &p)));
	OK(kf_ok(sign_text(&w, &p.private_key, "x")));
	autobuf whole = buf_new(65536);
	buf_add_slice(&whole, buf_slice(&w.question));

	for (size_t n = 0; n < whole.n; n++) {
		buf_clear(&w.question);
		buf_add(&w.question, whole.p, n);
		(void)ask(&w, KMIP_OPERATION_SIGN).code;
		(void)ask(&w, KMIP_OPERATION_REGISTER).code;
		(void)ask(&w, KMIP_OPERATION_CREATE_KEY_PAIR).code;
		(void)ask(&w, KMIP_OPERATION_LOCATE).code;
	}
	OK(kf_ok(sign_text(&w, &p.private_key, "x")));
}

TEST_MAIN

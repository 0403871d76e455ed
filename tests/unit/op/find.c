/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever is asked for, by whomever: Locate answers what a look at every object answers, in its order. */
#include "op/find.h"
#include "op/match.h"
#include "world.h"

enum { OBJECTS = 300, CHANGES = 400, QUESTIONS = 1500, DAY = 86400 };

static uint64_t seed;

static unsigned dice(unsigned n)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (unsigned)(seed >> 33) % n;
}

static const char *const people[] = { "alice", "bob", "carol" };

static struct slice word(const char *kind, unsigned n, char room[32])
{
	snprintf(room, 32, "%s%u", kind, n);
	return slice_of(room);
}

static void name_of(unsigned i, struct id *ret)
{
	snprintf(ret->text, sizeof(ret->text), "object-%u", i);
}

/* --- attributes: of objects, and of questions --- */

static void add_application(struct buf *set)
{
	char room[32];
	struct ttlv_writer w = ttlv_write(set, 0);
	ttlv_begin(&w, TAG_APPLICATION_SPECIFIC_INFORMATION);
	ttlv_put_text(&w, TAG_APPLICATION_NAMESPACE, word("space", dice(2), room));
	if (dice(2))
		ttlv_put_text(&w, TAG_APPLICATION_DATA, word("data", dice(40), room));
	ttlv_end(&w);
}

/* Years apart, and to the second. */
static int64_t some_date(void)
{
	const int64_t far = (int64_t)dice(5) * 400 * DAY;
	return NOW - 800 * DAY + far + dice(3);
}

static void add_one(struct buf *set, unsigned which)
{
	static const uint32_t masks[] = { 1, 3, 12, 13, 0x20c };
	static const uint32_t dates[] = { TAG_ACTIVATION_DATE, TAG_DEACTIVATION_DATE,
		TAG_INITIAL_DATE, TAG_LAST_CHANGE_DATE };
	char room[32];
	struct id id;
	name_of(dice(OBJECTS), &id);
	switch (which) {
	case 0: attrs_add_name(set, word("name", dice(60), room)); break;
	case 1: attrs_add_text(set, TAG_OBJECT_GROUP, word("g", dice(6), room)); break;
	case 2:
		attrs_add_int(set, TAG_CRYPTOGRAPHIC_USAGE_MASK, (int)masks[dice(5)]);
		break;
	case 3: attrs_add_enum(set, TAG_CRYPTOGRAPHIC_ALGORITHM, 1 + dice(4)); break;
	case 4: attrs_add_link(set, 0x101 + dice(3), slice_of(id.text)); break;
	case 5: add_application(set); break;
	case 6:
		attrs_add_vendor_text(set, SLICE_LIT("x"), SLICE_LIT("colour"),
			word("c", dice(9), room));
		break;
	case 7: attrs_add_text(set, TAG_DESCRIPTION, word("d", dice(4), room)); break;
	default: attrs_add_date(set, dates[which % 4], some_date()); break;
	}
}

/* --- objects --- */

static void describe(struct buf *set)
{
	attrs_add_enum(set, TAG_STATE, 1 + dice(6));
	for (unsigned which = 0; which < 12; which++)
		if (which < 7 && dice(3) == 0)
			add_one(set, which);
		else if (which == 1 || dice(2))
			add_one(set, which);
	if (dice(20) == 0)
		attrs_add_date(set, TAG_ARCHIVE_DATE, NOW);
}

static void wake_up(struct change *c) { sem_post(c->arg); }

struct described {
	enum object_type type;
	struct slice attrs;
};

static kf_err put_described(
	struct world *w, unsigned i, const struct object *was, const struct described *d)
{
	struct id id;
	sem_t done;
	struct change c = { .n = 1, .m = { { .kind = PUT_OBJECT } }, .done = wake_up };
	name_of(i, &id);
	KF_TRY(object_new(&(struct object_parts){ .id = slice_of(id.text),
				  .owner = slice_of(was ? was->owner : people[dice(3)]),
				  .attrs = d->attrs,
				  .type = d->type,
				  .version = was ? was->version + 1 : 1 },
		&c.m[0].object.object));
	c.m[0].expected_version = was ? was->version : 0;
	sem_init(&done, 0, 0);
	c.arg = &done;
	KF_TRY(store_submit(w->store, &c));
	while (sem_wait(&done))
		;
	return c.err;
}

static kf_err put(struct world *w, unsigned i, const struct object *was)
{
	static const enum object_type types[] = { OBJECT_CERTIFICATE,
		OBJECT_SYMMETRIC_KEY, OBJECT_PUBLIC_KEY, OBJECT_PRIVATE_KEY };
	autobuf set = buf_new(8192);
	describe(&set);
	return put_described(w, i, was,
		&(struct described){ was ? was->type : types[dice(4)], buf_slice(&set) });
}

static void add_link_to(struct buf *set, uint32_t type, unsigned i)
{
	struct id to;
	name_of(i, &to);
	attrs_add_link(set, type, slice_of(to.text));
}

/* A private key, its public key, its certificate: 0 to 2. */
static kf_err put_family(struct world *w)
{
	static const enum object_type types[] = { OBJECT_PRIVATE_KEY, OBJECT_PUBLIC_KEY,
		OBJECT_CERTIFICATE };
	for (unsigned i = 0; i < 3; i++) {
		autobuf set = buf_new(8192);
		attrs_add_enum(&set, TAG_STATE, STATE_ACTIVE);
		if (i == 1)
			add_link_to(&set, KMIP_LINK_TYPE_PRIVATE_KEY_LINK, 0);
		else
			add_link_to(&set, KMIP_LINK_TYPE_PUBLIC_KEY_LINK, 1);
		if (i == 0)
			add_link_to(&set, KMIP_LINK_TYPE_CERTIFICATE_LINK, 2);
		KF_TRY(put_described(
			w, i, NULL, &(struct described){ types[i], buf_slice(&set) }));
	}
	return KF_OK;
}

static kf_err plant(struct world *w)
{
	char key[32];
	/* A name that another object of the owner has is refused: so be it. */
	for (unsigned n = 0; n < OBJECTS + CHANGES; n++) {
		const unsigned i = n < OBJECTS ? n : dice(OBJECTS);
		struct id id;
		name_of(i, &id);
		(void)put(w, i, catalog_find(w->server.catalog, slice_of(id.text)));
	}
	for (unsigned n = 0; n < 12; n++) {
		snprintf(key, sizeof(key),
			n % 3 == 0   ? "object-%u"
			: n % 3 == 1 ? "name:name%u"
				     : "group:g%u",
			dice(n % 3 == 0      ? OBJECTS
				: n % 3 == 1 ? 60
					     : 2));
		KF_TRY(add_grant(w, n % 4 ? "dora" : "*", key,
			n % 2 ? PERM_SIGN : PERM_LOCATE, 0));
	}
	return add_grant(w, "dora", "*", PERM_CREATE, 0);
}

/* --- the answer that is right --- */

struct reference {
	struct world *w;
	struct slice wanted;
	bool has_state;
	char text[OBJECTS][OBJECT_ID_SIZE];
	int n;
};

static bool is_wanted(struct reference *r, const struct object *o)
{
	const enum object_state state = object_state(o, r->w->now_s);
	const bool is_gone =
		state == STATE_DESTROYED || state == STATE_DESTROYED_COMPROMISED;
	return (is_gone ? r->has_state : !o->is_archived) &&
	       match_object(o, r->w->now_s, r->wanted) &&
	       policy_decide_linked(r->w->server.catalog, &r->w->who, PERM_LOCATE, o)
		       .is_allowed;
}

static bool look_at(void *arg, const struct object *o)
{
	struct reference *r = arg;
	if (is_wanted(r, o))
		memcpy(r->text[r->n++], o->id, OBJECT_ID_SIZE);
	return true;
}

static bool says_the_same(struct reference *r, struct slice uids)
{
	struct ttlv_reader each = ttlv_read(uids);
	struct slice id;
	int n = 0;
	while (locate_next_uid(&each, &id))
		if (n >= r->n || !slice_is(id, r->text[n++]))
			return false;
	return n == r->n;
}

static bool is_right(struct world *w, struct slice wanted)
{
	static struct reference r;
	struct locate_response a;
	struct ttlv_writer q = question(w);
	locate_put_request(&q,
		&(struct locate_request){
			.maximum_items = -1, .offset_items = 0, .attributes = wanted });
	if (!kf_ok(ask(w, KMIP_OPERATION_LOCATE)))
		return false;
	struct ttlv_reader reader = answer(w);
	if (!kf_ok(locate_get_response(&reader, &a)))
		return false;
	r.w = w;
	r.wanted = wanted;
	r.has_state = attrs_count(wanted, TAG_STATE) > 0;
	r.n = 0;
	catalog_each(w->server.catalog, look_at, &r);
	return a.located_items == r.n && says_the_same(&r, a.uids);
}

static void wonder(struct buf *set)
{
	for (unsigned n = dice(3); n > 0; n--)
		add_one(set, dice(12));
	if (dice(4) == 0)
		attrs_add_enum(set, TAG_STATE, 1 + dice(6));
	if (dice(4) == 0)
		attrs_add_enum(set, TAG_OBJECT_TYPE, 1 + dice(4));
	for (unsigned n = dice(3); n > 0; n--)
		attrs_add_date(set, TAG_INITIAL_DATE, some_date());
}

TEST(whatever_is_asked_for_by_whomever_is_found_as_if_everything_were_looked_at)
{
	static const char *const who[] = { "alice", "bob", "dora", "eve", "root" };
	WORLD(w);
	seed = 7;
	OK(kf_ok(plant(&w)));
	unsigned found = 0;
	for (int i = 0; i < QUESTIONS; i++) {
		autobuf wanted = buf_new(8192);
		const unsigned whose = dice(5);
		wonder(&wanted);
		be(&w, who[whose], whose == 4);
		w.now_s = NOW + (int64_t)dice(4) * 400 * DAY;
		OK(is_right(&w, buf_slice(&wanted)));
		found += buf_slice(&w.answer).n > 100;
	}
	OK(found > QUESTIONS / 10);
}

/* --- how much is looked at --- */

static size_t looked_at(struct world *w, struct slice wanted)
{
	CLEANUP(find_plan_free) struct find_plan plan;
	const struct find_question q = {
		.catalog = w->server.catalog, .wanted = wanted, .spaces = FIND_LIVE
	};
	return kf_ok(find_plan(&q, &plan)) ? plan.most : SIZE_MAX;
}

TEST(the_rarest_of_what_is_asked_for_decides)
{
	WORLD(w);
	struct id id;
	OK(kf_ok(let_alice_create(&w)));
	for (int i = 0; i < 200; i++) {
		char name[32];
		snprintf(name, sizeof(name), "n%d", i);
		OK(kf_ok(create_aes(&w, name, &id)));
	}
	autobuf wanted = buf_new(8192);
	EQ(looked_at(&w, buf_slice(&wanted)), 200);
	attrs_add_enum(&wanted, TAG_OBJECT_TYPE, OBJECT_SYMMETRIC_KEY);
	EQ(looked_at(&w, buf_slice(&wanted)), 200);
	attrs_add_name(&wanted, SLICE_LIT("n77"));
	EQ(looked_at(&w, buf_slice(&wanted)), 1);
	attrs_add_int(&wanted, TAG_CRYPTOGRAPHIC_USAGE_MASK, 1);
	EQ(looked_at(&w, buf_slice(&wanted)), 0);
}

TEST(a_client_with_one_key_does_not_look_at_those_of_others)
{
	WORLD(w);
	struct id id;
	OK(kf_ok(let_alice_create(&w)));
	for (int i = 0; i < 200; i++)
		OK(kf_ok(create_aes(&w, NULL, &id)));
	OK(kf_ok(put_family(&w)));
	OK(kf_ok(add_grant(&w, "dora", "object-0", PERM_SIGN, 0)));
	be(&w, "dora", false);
	EQ(located(&w, (struct slice){ 0 }, NULL), 3);
	CLEANUP(find_plan_free) struct find_plan plan;
	CLEANUP(find_places_free) struct find_places places = { 0 };
	const struct find_question q = { .catalog = w.server.catalog,
		.spaces = FIND_LIVE };
	OK(kf_ok(find_plan(&q, &plan)));
	OK(find_visible(&q, &w.who, &plan, &places));
	EQ(places.n, 3);
	be(&w, "alice", false);
	find_places_free(&places);
	OK(!find_visible(&q, &w.who, &plan, &places));
}

TEST(whoever_may_use_a_key_finds_it_among_many)
{
	static const uint32_t uses[] = { PERM_SIGN, PERM_CSR, PERM_DECRYPT,
		PERM_DECRYPT_TLS, PERM_ENCRYPT, PERM_MAC, PERM_MAC_VERIFY, PERM_LOCATE };
	WORLD(w);
	struct id id;
	OK(kf_ok(let_alice_create(&w)));
	for (int i = 0; i < 200; i++)
		OK(kf_ok(create_aes(&w, NULL, &id)));
	for (size_t i = 0; i < sizeof(uses) / sizeof(*uses); i++) {
		char name[32];
		snprintf(name, sizeof(name), "user-%zu", i);
		OK(kf_ok(add_grant(&w, name, id.text, uses[i], 0)));
		be(&w, name, false);
		EQ(located(&w, (struct slice){ 0 }, NULL), 1);
		be(&w, "alice", false);
	}
}

TEST(who_would_look_at_too_much_is_told_so)
{
	WORLD(w);
	struct id id;
	struct op_search search = { .most = 1, .time_ms = 5000 };
	OK(kf_ok(let_alice_create(&w)));
	for (int i = 0; i < 200; i++)
		OK(kf_ok(create_aes(&w, NULL, &id)));
	w.server.search = &search;
	EQ(located(&w, (struct slice){ 0 }, NULL), 200);
	op_clear(w.call);
	EQ(search.under_way, 0);
	search.under_way = 1; /* somebody else's */
	EQ(located(&w, (struct slice){ 0 }, NULL), -1);
	op_clear(w.call);
	EQ(search.under_way, 1);
	w.server.search = NULL;
}

/* The name is a structure with a value and a type: three items. */
static void add_groups_and_a_name(struct buf *wanted, int groups)
{
	for (int i = 0; i < groups; i++)
		attrs_add_text(wanted, TAG_OBJECT_GROUP, SLICE_LIT("g"));
	attrs_add_name(wanted, SLICE_LIT("n"));
}

TEST(who_asks_for_more_attributes_than_anybody_needs_is_refused_before_objects_are_looked_at)
{
	WORLD(w);
	struct op_search search = { .most = 1, .time_ms = 5000, .items_max = 12 };
	autobuf few = buf_new(1 << 16), many = buf_new(1 << 16);
	OK(kf_ok(let_alice_create(&w)));
	w.server.search = &search;
	add_groups_and_a_name(&few, 9);
	add_groups_and_a_name(&many, 10);

	EQ(located(&w, buf_slice(&few), NULL), 0);
	struct ttlv_writer q = question(&w);
	locate_put_request(&q, &(struct locate_request){ .maximum_items = -1,
				       .offset_items = -1,
				       .attributes = buf_slice(&many) });
	OK(kf_is(ask(&w, KMIP_OPERATION_LOCATE), KF_E_TOO_BIG));
	w.server.search = NULL;
}

TEST(no_usage_at_all_is_asked_for_by_everybody)
{
	WORLD(w);
	struct id id;
	autobuf wanted = buf_new(1024);
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_aes(&w, NULL, &id)));
	attrs_add_int(&wanted, TAG_CRYPTOGRAPHIC_USAGE_MASK, 0);
	EQ(located(&w, buf_slice(&wanted), NULL), 1);
}

TEST(who_has_seconds_for_a_search_has_them)
{
	WORLD(w);
	struct id id;
	struct op_search search = { .most = 1, .time_ms = 4295 };
	OK(kf_ok(let_alice_create(&w)));
	for (int i = 0; i < 1100; i++)
		OK(kf_ok(create_aes(&w, NULL, &id)));
	w.server.search = &search;
	EQ(located(&w, (struct slice){ 0 }, NULL), 1100);
	w.server.search = NULL;
}

TEST_MAIN

/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of objects: operations in any order, against a model that knows nothing of the server but the
 * standard (KMIP 2.1, State, and the rules of the attributes).  Each step is three bytes:
 *
 *     what to do    with which of four objects    how: a time, a number, yes or no
 */
#include "../unit/op/attributes.h"
#include "kmip/lease.h"
#include "op/usage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

extern const int fuzz_mutations;
const int fuzz_mutations = 300; /* each is hundreds of commits */
extern const unsigned fuzz_one_in;
const unsigned fuzz_one_in = 7;

enum { SLOTS = 4, STEPS_MAX = 200, INPUTS_PER_WORLD = 300, NEVER = -1 };

/* --- the model --- */

enum date { ACTIVATION, DEACTIVATION, PROCESS_START, PROTECT_STOP, DATES };

static const uint32_t date_tags[] = {
	[ACTIVATION] = TAG_ACTIVATION_DATE,
	[DEACTIVATION] = TAG_DEACTIVATION_DATE,
	[PROCESS_START] = TAG_PROCESS_START_DATE,
	[PROTECT_STOP] = TAG_PROTECT_STOP_DATE,
};

struct model {
	bool exists, is_private, is_archived, is_sensitive, is_extractable;
	enum object_state state; /* as of the last change */
	int64_t date[DATES];     /* NEVER: not set */
	int64_t total, left;     /* total NEVER: no limits */
	struct id id;
};

static enum object_state state_at(const struct model *m, int64_t now)
{
	enum object_state s = m->state;
	if (s == STATE_PRE_ACTIVE && m->date[ACTIVATION] != NEVER &&
		m->date[ACTIVATION] <= now)
		s = STATE_ACTIVE;
	if (s == STATE_ACTIVE && m->date[DEACTIVATION] != NEVER &&
		m->date[DEACTIVATION] <= now)
		s = STATE_DEACTIVATED;
	return s;
}

static bool is_gone(const struct model *m)
{
	return m->state == STATE_DESTROYED || m->state == STATE_DESTROYED_COMPROMISED;
}

static bool is_usable(const struct model *m) { return !is_gone(m) && !m->is_archived; }

static bool dates_agree(const int64_t d[DATES])
{
	const int64_t start = d[ACTIVATION] == NEVER ? INT64_MIN : d[ACTIVATION];
	const int64_t end = d[DEACTIVATION] == NEVER ? INT64_MAX : d[DEACTIVATION];
	return start <= end && (d[PROCESS_START] == NEVER || d[PROCESS_START] >= start) &&
	       (d[PROTECT_STOP] == NEVER || d[PROTECT_STOP] <= end);
}

static bool may_protect(const struct model *m, int64_t now)
{
	return is_usable(m) && state_at(m, now) == STATE_ACTIVE &&
	       (m->date[PROTECT_STOP] == NEVER || m->date[PROTECT_STOP] > now);
}

/* --- the server --- */

static struct world w;
static struct model slots[SLOTS];
static unsigned inputs;

static void must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "lifecycle: %s\n", what);
	abort();
}

static bool did(kf_err err, bool should, const char *what)
{
	if (kf_ok(err) != should)
		fprintf(stderr, "%s: %s, %s\n", what, kf_ok(err) ? "done" : "refused",
			kf_ok(err) ? "" : err.site->text);
	must(kf_ok(err) == should, what);
	return should;
}

/* --- steps --- */

typedef void step(struct model *m, uint8_t how);

/* 0 to 9: no date.  Others lie up to 122 seconds before or behind now. */
static int64_t date_of(uint8_t how) { return how < 10 ? NEVER : w.now_s + how - 132; }

static void add_dates(struct buf *set, const struct model *m)
{
	for (int d = 0; d < DATES; d++)
		if (m->date[d] != NEVER)
			attrs_add_date(set, date_tags[d], m->date[d]);
}

static kf_err create_key(const struct buf *set, struct id *ret)
{
	autobuf all = buf_new(4096);
	attrs_add_enum(&all, TAG_CRYPTOGRAPHIC_ALGORITHM, 3);
	attrs_add_int(&all, TAG_CRYPTOGRAPHIC_LENGTH, 256);
	attrs_add_int(&all, TAG_CRYPTOGRAPHIC_USAGE_MASK, 12);
	buf_add_slice(&all, buf_slice(set));
	struct ttlv_writer q = question(&w);
	create_put_request(
		&q, &(struct create_request){ OBJECT_SYMMETRIC_KEY, buf_slice(&all) });
	KF_TRY(ask(&w, KMIP_OPERATION_CREATE));
	struct create_response a;
	struct ttlv_reader r = answer(&w);
	KF_TRY(create_get_response(&r, &a));
	keep_id(&a.uid, ret);
	return KF_OK;
}

static kf_err create_private(const struct buf *set, struct id *ret)
{
	struct pair p;
	KF_TRY(create_pair(&w,
		&(struct pair_wish){
			.algorithm = 6, .curve = 7, .private_extra = buf_slice(set) },
		&p));
	*ret = p.private_key;
	return KF_OK;
}

/* A name belongs to an object until it is destroyed. */
static void create(struct model *m, uint8_t how)
{
	struct model n = { .is_private = how & 1,
		.state = STATE_PRE_ACTIVE,
		.total = NEVER,
		.is_sensitive = how & 1,
		.is_extractable = !(how & 1) };
	const bool is_name_free = !m->exists || is_gone(m);
	autobuf set = buf_new(4096);
	char name[32];

	for (int d = 0; d < DATES; d++)
		n.date[d] = NEVER;
	n.date[ACTIVATION] = date_of(how);
	n.date[DEACTIVATION] = how & 2 ? date_of((uint8_t)(how * 7)) : NEVER;
	snprintf(name, sizeof(name), "%u.%zu", inputs, (size_t)(m - slots));
	attrs_add_name(&set, slice_of(name));
	add_dates(&set, &n);
	const kf_err err =
		n.is_private ? create_private(&set, &n.id) : create_key(&set, &n.id);
	if (!did(err, is_name_free && dates_agree(n.date), "create"))
		return;
	n.exists = true;
	n.state = state_at(&n, w.now_s);
	*m = n;
}

static void do_activate(struct model *m, uint8_t how)
{
	(void)how;
	const bool may = is_usable(m) && state_at(m, w.now_s) == STATE_PRE_ACTIVE;
	if (!did(activate(&w, &m->id), may, "activate"))
		return;
	m->state = STATE_ACTIVE;
	m->date[ACTIVATION] = w.now_s;
}

static void deactivate(struct model *m, uint8_t how)
{
	const bool may = !m->is_archived && state_at(m, w.now_s) == STATE_ACTIVE;
	const uint32_t reasons[] = { 1, 4, 5, 6, 7 };
	if (!did(revoke(&w, &m->id, reasons[how % 5]), may, "revoke"))
		return;
	m->state = STATE_DEACTIVATED;
	m->date[DEACTIVATION] = w.now_s;
}

static void compromise(struct model *m, uint8_t how)
{
	const enum object_state s = state_at(m, w.now_s);
	const bool may = !m->is_archived && s != STATE_COMPROMISED &&
			 s != STATE_DESTROYED_COMPROMISED;
	if (did(revoke(&w, &m->id, how & 1 ? 2 : 3), may, "compromise"))
		m->state = s == STATE_DESTROYED ? STATE_DESTROYED_COMPROMISED
						: STATE_COMPROMISED;
}

static void do_destroy(struct model *m, uint8_t how)
{
	(void)how;
	const enum object_state s = state_at(m, w.now_s);
	if (did(destroy(&w, &m->id), is_usable(m) && s != STATE_ACTIVE, "destroy"))
		m->state = s == STATE_COMPROMISED ? STATE_DESTROYED_COMPROMISED
						  : STATE_DESTROYED;
}

static bool may_move(const struct model *m, enum date d)
{
	const enum object_state s = state_at(m, w.now_s);
	if (m->is_archived)
		return false;
	if (d == ACTIVATION)
		return s == STATE_PRE_ACTIVE;
	if (d != DEACTIVATION && m->date[d] != NEVER && m->date[d] <= w.now_s)
		return false;
	return s == STATE_PRE_ACTIVE || s == STATE_ACTIVE;
}

static void move_date(struct model *m, enum date d, uint8_t how)
{
	struct model n = *m;
	const int64_t date = w.now_s + how - 132;
	const enum attribute_change kind = how & 1               ? ATTRIBUTE_SET
					   : m->date[d] == NEVER ? ATTRIBUTE_ADD
								 : ATTRIBUTE_MODIFY;
	n.date[d] = date;
	if (!did(change_date(&w, kind, &m->id, date_tags[d], date),
		    may_move(m, d) && dates_agree(n.date), "date"))
		return;
	*m = n;
	m->state = state_at(m, w.now_s);
}

static void set_activation(struct model *m, uint8_t how)
{
	move_date(m, ACTIVATION, how);
}

static void set_deactivation(struct model *m, uint8_t how)
{
	move_date(m, DEACTIVATION, how);
}

static void set_start(struct model *m, uint8_t how) { move_date(m, PROCESS_START, how); }

static void set_stop(struct model *m, uint8_t how) { move_date(m, PROTECT_STOP, how); }

static void do_archive(struct model *m, uint8_t how)
{
	(void)how;
	if (did(move(&w, KMIP_OPERATION_ARCHIVE, &m->id), !m->is_archived, "archive"))
		m->is_archived = true;
}

static void do_recover(struct model *m, uint8_t how)
{
	(void)how;
	if (did(move(&w, KMIP_OPERATION_RECOVER, &m->id), true, "recover"))
		m->is_archived = false;
}

static void do_get(struct model *m, uint8_t how)
{
	struct get_response a;
	(void)how;
	did(get(&w, &m->id, &a), is_usable(m) && !m->is_sensitive && m->is_extractable,
		"get");
}

static void do_sign(struct model *m, uint8_t how)
{
	(void)how;
	const bool may = m->is_private && may_protect(m, w.now_s) &&
			 (m->total == NEVER || m->left > 0);
	if (did(sign_text(&w, &m->id, "text"), may, "sign") && m->total != NEVER)
		m->left--;
}

static void set_limits(struct model *m, uint8_t how)
{
	autobuf set = buf_new(256);
	const bool may = !m->is_archived && (m->total == NEVER || m->left == m->total);
	const struct usage u = { how % 5, 99, KMIP_USAGE_LIMITS_UNIT_OBJECT };
	usage_set(&set, &u);
	if (did(change_to(&w, ATTRIBUTE_SET, &m->id, &set), may, "limits"))
		m->total = m->left = u.total;
}

static void allocate(struct model *m, uint8_t how)
{
	const int64_t n = how % 4;
	const bool may = may_protect(m, w.now_s) && m->total != NEVER && n <= m->left;
	struct ttlv_writer q = question(&w);
	get_usage_allocation_put_request(
		&q, &(struct get_usage_allocation_request){ uid(&m->id), n });
	if (did(ask(&w, KMIP_OPERATION_GET_USAGE_ALLOCATION), may, "allocation"))
		m->left -= n;
}

static void set_sensitive(struct model *m, uint8_t how)
{
	const bool may = !m->is_archived && (!m->is_sensitive || (how & 1));
	if (did(change_bool(&w, ATTRIBUTE_SET, &m->id, TAG_SENSITIVE, how & 1), may,
		    "sensitive"))
		m->is_sensitive = how & 1;
}

static void set_extractable(struct model *m, uint8_t how)
{
	const bool may = !m->is_archived && (m->is_extractable || !(how & 1));
	if (did(change_bool(&w, ATTRIBUTE_SET, &m->id, TAG_EXTRACTABLE, how & 1), may,
		    "extractable"))
		m->is_extractable = how & 1;
}

static void lease(struct model *m, uint8_t how)
{
	const enum object_state s = state_at(m, w.now_s);
	const int64_t end = m->date[DEACTIVATION];
	const bool may = is_usable(m) && (s == STATE_PRE_ACTIVE || s == STATE_ACTIVE) &&
			 (end == NEVER || end > w.now_s);
	(void)how;
	struct ttlv_writer q = question(&w);
	obtain_lease_put_request(&q, &(struct obtain_lease_request){ uid(&m->id) });
	did(ask(&w, KMIP_OPERATION_OBTAIN_LEASE), may, "lease");
}

static void pass_time(struct model *m, uint8_t how)
{
	(void)m;
	w.now_s += how;
}

static step *const steps_of_life[] = { create, do_activate, deactivate, compromise,
	do_destroy, set_activation, set_deactivation, set_start, set_stop, do_archive,
	do_recover, do_get, do_sign, set_limits, allocate, set_sensitive, set_extractable,
	lease, pass_time };
enum { KINDS = sizeof(steps_of_life) / sizeof(*steps_of_life) };

/* --- what is shown --- */

static void compare_dates(const struct model *m, struct slice attrs)
{
	for (int d = 0; d < DATES; d++) {
		int64_t date = NEVER;
		(void)attrs_get_date(attrs, date_tags[d], &date);
		must(date == m->date[d], "a date that is shown");
	}
}

static void compare(const struct model *m)
{
	struct usage u = { .total = NEVER };
	uint32_t state = 0;
	bool is = false;

	if (!did(attributes(&w, &m->id), true, "get attributes"))
		return;
	const struct slice attrs = buf_slice(&w.attrs);
	(void)attrs_get_enum(attrs, TAG_STATE, &state);
	must(state == state_at(m, w.now_s), "the state that is shown");
	compare_dates(m, attrs);
	(void)usage_get(attrs, &u);
	must(u.total == m->total && (u.total == NEVER || u.count == m->left), "limits");
	must(attrs_get_bool(attrs, TAG_SENSITIVE, &is) && is == m->is_sensitive,
		"Sensitive");
	must(attrs_get_bool(attrs, TAG_EXTRACTABLE, &is) && is == m->is_extractable,
		"Extractable");
	must(attrs_count(attrs, TAG_DESTROY_DATE) == is_gone(m), "Destroy Date");
	must(attrs_count(attrs, TAG_ARCHIVE_DATE) == m->is_archived, "Archive Date");
}

static void take_step(const uint8_t *p)
{
	step *todo = steps_of_life[p[0] % KINDS];
	struct model *m = &slots[p[1] % SLOTS];
	if (!m->exists && todo != create && todo != pass_time)
		return;
	todo(m, p[2]);
	if (m->exists)
		compare(m);
}

/* See tests/fuzz/op.c. */
static void tear_down(void) { world_close(&w); }

static void begin(void)
{
	if (inputs++ % INPUTS_PER_WORLD == 0) {
		const bool is_first = !w.store;
		if (!is_first)
			world_close(&w);
		must(kf_ok(world_open(&w)) && kf_ok(let_alice_create(&w)), "a world");
		/* Behind libcrypto's own, which comes with its first use. */
		must(!is_first || atexit(tear_down) == 0, "an end");
	}
	memset(slots, 0, sizeof(slots));
	w.now_s = NOW;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	(void)test_main_, (void)tests_end_;
	begin();
	for (size_t n = 0; n < STEPS_MAX && size >= 3; n++, data += 3, size -= 3)
		take_step(data);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/interop.h"
#include "kmip/log.h"
#include "world.h"

static kf_err interop(struct world *w, uint32_t function)
{
	struct ttlv_writer q = question(w);
	interop_put_request(
		&q, &(struct interop_request){ function, SLICE_LIT("BL-M-1-21") });
	return ask(w, KMIP_OPERATION_INTEROP);
}

static bool is_gone(struct world *w, const struct id *id)
{
	return kf_is(attributes(w, id), KF_E_NOT_FOUND);
}

TEST(a_server_that_is_not_under_test_knows_no_interop)
{
	WORLD(w);
	struct id k;
	be(&w, "root", true);
	OK(kf_ok(create_aes(&w, "k", &k)));

	OK(kf_is(interop(&w, KMIP_INTEROP_FUNCTION_BEGIN), KF_E_UNSUPPORTED));
	OK(kf_is(interop(&w, KMIP_INTEROP_FUNCTION_RESET), KF_E_UNSUPPORTED));
	OK(!is_gone(&w, &k));
}

TEST(begin_and_end_change_nothing)
{
	WORLD(w);
	struct id k;
	w.server.is_interop_test = true;
	be(&w, "root", true);
	OK(kf_ok(create_aes(&w, "k", &k)));

	OK(kf_ok(interop(&w, KMIP_INTEROP_FUNCTION_BEGIN)));
	EQ(w.answer.n, 0);
	OK(kf_ok(interop(&w, KMIP_INTEROP_FUNCTION_END)));
	OK(!is_gone(&w, &k));
	OK(kf_is(interop(&w, 4), KF_E_INVALID_FIELD));
	OK(kf_is(interop(&w, 0), KF_E_INVALID_FIELD));
}

TEST(reset_forgets_more_objects_than_one_change_has_room_for_whatever_their_state)
{
	WORLD(w);
	struct id k[10];
	struct pair p;
	w.server.is_interop_test = true;
	be(&w, "root", true);
	OK(kf_ok(interop(&w, KMIP_INTEROP_FUNCTION_RESET)));
	for (size_t i = 0; i < 10; i++)
		OK(kf_ok(create_aes(&w, NULL, &k[i])));
	OK(kf_ok(activate(&w, &k[0])));
	OK(kf_ok(destroy(&w, &k[1])));
	OK(kf_ok(create_p256(&w, "pair", &p)));

	OK(kf_ok(interop(&w, KMIP_INTEROP_FUNCTION_RESET)));

	for (size_t i = 0; i < 10; i++)
		OK(is_gone(&w, &k[i]));
	OK(is_gone(&w, &p.private_key) && is_gone(&w, &p.public_key));
	EQ(located(&w, (struct slice){ 0 }, NULL), 0);
	OK(kf_ok(create_p256(&w, "pair", &p))); /* the name is free */
	OK(!is_gone(&w, &p.private_key));
}

TEST(reset_leaves_what_the_client_may_not_destroy)
{
	WORLD(w);
	struct id mine, theirs;
	w.server.is_interop_test = true;
	be(&w, "root", true);
	OK(kf_ok(create_aes(&w, "theirs", &theirs)));
	OK(kf_ok(let_alice_create(&w)));
	be(&w, "alice", false);
	OK(kf_ok(create_aes(&w, "mine", &mine)));

	OK(kf_ok(interop(&w, KMIP_INTEROP_FUNCTION_RESET)));

	be(&w, "root", true);
	OK(is_gone(&w, &mine));
	OK(!is_gone(&w, &theirs));
}

TEST(everybody_may_have_something_logged)
{
	WORLD(w);
	be(&w, "nobody", false);
	struct ttlv_writer q = question(&w);
	log_put_request(&q, &(struct log_request){ SLICE_LIT("step 7") });
	OK(kf_ok(ask(&w, KMIP_OPERATION_LOG)));
	EQ(w.answer.n, 0);
	question(&w);
	OK(kf_is(ask(&w, KMIP_OPERATION_LOG), KF_E_MISSING));
}

TEST_MAIN

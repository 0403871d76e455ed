/* SPDX-License-Identifier: Apache-2.0 */
#include "vhsm/state.h"
#include "talk.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/vhsm-state-XXXXXX";
static char path[64];

static const char *fresh(void)
{
	strcpy(dir + sizeof(dir) - 7, "XXXXXX");
	if (!mkdtemp(dir))
		abort();
	snprintf(path, sizeof(path), "%s/card", dir);
	return path;
}

static void clean(void)
{
	unlink(path);
	rmdir(dir);
}

#define INITIALIZE "805000001C80020001810636343832313982083537363231383830910103920101"

TEST(a_card_is_the_same_after_a_restart)
{
	autobuf a = buf_new(VHSM_ANSWER_MAX), list = buf_new(VHSM_ANSWER_MAX);
	char serial[16];
	{
		CLEANUP(vhsm_freep) struct vhsm *v = NULL;
		OK(kf_ok(vhsm_new(fresh(), &v)));
		snprintf(serial, sizeof(serial), "%s", vhsm_serial(v));
		EQ(say(v, &a, INITIALIZE), 0x9000);
		EQ(say(v, &a, "0020008106" USER), 0x9000);
		EQ(say(v, &a, GENERATE_P256, 7), 0x9000);
		EQ(say(v, &a, GENERATE_RSA, 8, 1024), 0x9000);
		EQ(say(v, &a, "004809B206910410111899"), 0x9000);
		EQ(say(v, &a, "00D7C4070A54020000530401020304"), 0x9000);
		EQ(say(v, &a, SELECT), 0x9000);
		EQ(say(v, &a, "0020008106313131313131"), 0x63c2);
		EQ(say(v, &list, "80580000000000"), 0x9000);
	}
	CLEANUP(vhsm_freep) struct vhsm *v = NULL;
	OK(kf_ok(vhsm_new(path, &v)));
	OK(!strcmp(serial, vhsm_serial(v)));
	EQ(say(v, &a, "00200081"), 0x63c2);
	EQ(say(v, &a, "80580000000000"), 0x9000);
	OK(slice_eq(buf_slice(&a), buf_slice(&list)));
	EQ(say(v, &a, "0020008106" USER), 0x9000);
	EQ(say(v, &a,
		   "806807702000000000000000000000000000000000000000000000000000000000000"
		   "000"
		   "0000"),
		0x9000);
	EQ(say(v, &a, "80780918100000000000000000000000000000000000"), 0x9000);
	clean();
}

TEST(nobody_else_can_read_the_file)
{
	CLEANUP(vhsm_freep) struct vhsm *v = NULL, *other = NULL;
	struct stat st;
	OK(kf_ok(vhsm_new(fresh(), &v)));
	OK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
	OK(chmod(path, 0644) == 0);
	OK(kf_is(vhsm_new(path, &other), KF_E_DENIED));
	clean();
}

TEST(a_file_cut_at_any_byte_is_no_card)
{
	CLEANUP(card_freep) struct card *c = NULL, *copy = NULL;
	autobuf b = buf_new(STATE_MAX);
	OK(kf_ok(card_new(&c)) && kf_ok(state_put(c, &b)));
	for (size_t n = 0; n < b.n; n++)
		OK(!kf_ok(state_parse((struct slice){ b.p, n }, &copy)));
	OK(kf_ok(state_parse(buf_slice(&b), &copy)));
}

TEST_MAIN

/* SPDX-License-Identifier: Apache-2.0 */
/* whole: the whole agent in a thread, between guests and fake key servers. */
#pragma once
#include "../client/fake.h"
#include "agent/agent.h"
#include "base/clock.h"
#include "client/local.h"
#include "test.h"
#include <sys/un.h>

static struct fake first, second;
static struct agent agent;
static pthread_t thread;
static char conf_file[128], socket_name[64];

struct errand {
	struct loop_message message;
	void (*run)(void);
};

static inline void write_conf(const char *servers, const char *more, const char *allow)
{
	char text[4096];
	snprintf(conf_file, sizeof(conf_file), "%s/agent.conf", fake_pki.dir);
	snprintf(socket_name, sizeof(socket_name), "@keyfleet-test-%d", (int)getpid());
	snprintf(text, sizeof(text),
		"[client]\nservers = %s\nca = %s\ncertificate = %s\nkey = %s\n"
		"hedge = 0\n" /* copies of what a busy machine makes late would count */
		"[agent]\nsockets = unix:%s\n%s\n%s\n",
		servers, fake_pki.ca_file, fake_pki.cert_file, fake_pki.key_file,
		socket_name, more, allow);
	fake_write(conf_file, slice_of(text));
}

static inline const char *allow_me(const char *key, const char *operations)
{
	static char text[256];
	snprintf(text, sizeof(text), "[allow %s]\nusers = %d\noperations = %s\n", key,
		(int)getuid(), operations);
	return text;
}

static inline void *run(void *arg)
{
	if (!kf_ok(loop_run(agent.loop)))
		abort();
	return arg;
}

static inline bool start_agent(void)
{
	autobuf why = buf_new(65536);
	struct agent_plan plan = { 0 };
	agent = (struct agent){ .path = conf_file };
	list_init(&agent.guests);
	kf_err err = loop_new(&(struct loop_options){ 0 }, &agent.loop);
	if (kf_ok(err))
		err = stream_pad_new(&agent.pad);
	if (kf_ok(err))
		err = agent_plan(&agent, &plan, &why);
	if (kf_ok(err))
		agent_adopt(&agent, &plan);
	if (kf_ok(err))
		err = agent_listen(&agent, &why);
	agent_plan_free(&plan);
	if (!kf_ok(err))
		printf("# %s %.*s\n", err.site->text, (int)why.n, (const char *)why.p);
	return kf_ok(err) && pthread_create(&thread, NULL, run, NULL) == 0;
}

static inline void stop_loop(struct loop_message *m)
{
	(void)m;
	loop_stop(agent.loop);
}

static inline void stop_agent(void)
{
	struct loop_message m = { .deliver = stop_loop };
	loop_post(agent.loop, &m);
	pthread_join(thread, NULL);
	agent_clear(&agent);
	unlink(conf_file);
}

static inline void start_servers(const char *const *alpn)
{
	first = (struct fake){ .alpn = alpn };
	second = (struct fake){ .alpn = alpn };
	fake_start(&first, 0);
	fake_start(&second, 0);
}

static inline void stop_servers(void)
{
	fake_stop(&first);
	fake_stop(&second);
}

static inline const char *both(void)
{
	return fake_servers((struct fake *[]){ &first, &second }, 2);
}

static inline struct local *open_local(unsigned deadline_ms)
{
	struct local_conf conf = {
		.socket = socket_name, .agent_uid = getuid(), .deadline_ms = deadline_ms
	};
	struct local *l = NULL;
	return kf_ok(local_new(&conf, &l)) ? l : NULL;
}

static inline void put_with(struct buf *out, uint32_t operation,
	const struct sign_request *q, int32_t deadline_ms)
{
	struct kmip_request_header h = { .version = KMIP_2_1, .batch_count = 1 };
	struct kmip_extension ext = { .deadline_ms = deadline_ms };
	struct ttlv_writer w = ttlv_write(out, KMIP_2_1);
	w.allows_vendor = true;
	kmip_put_request_header(&w, &h);
	kmip_put_request_item_begin(&w, operation, (struct slice){ 0 });
	if (operation == KMIP_OPERATION_SIGN)
		sign_put_request(&w, q);
	else
		kmip_put_uid(&w, TAG_UNIQUE_IDENTIFIER, &q->uid);
	kmip_put_request_item_end(&w, &ext);
	if (!kf_ok(kmip_put_request_end(&w)))
		abort();
}

static inline struct sign_request sign_with(const char *key)
{
	return (struct sign_request){ .uid = kmip_uid_text(slice_of(key)),
		.has_data = true,
		.data = SLICE_LIT("data") };
}

static inline void put(
	struct buf *out, uint32_t operation, const char *key, int32_t deadline_ms)
{
	const struct sign_request q = sign_with(key);
	put_with(out, operation, &q, deadline_ms);
}

static inline kf_err get(struct slice message)
{
	struct ttlv_reader r = ttlv_read(message);
	struct kmip_response_header h;
	struct kmip_response_item item;
	KF_TRY(kmip_get_response_header(&r, &h));
	KF_TRY(kmip_get_response_item(&r, &item));
	KF_TRY(kmip_result(&item));
	struct ttlv_reader p = ttlv_read_as(item.payload, KMIP_2_1, false);
	struct sign_response a;
	KF_TRY(sign_get_response(&p, &a));
	return slice_is(a.signature, "data") ? KF_OK
					     : kf_fail(CRYPTO, "another signature");
}

static inline kf_err ask_with(struct local *l, uint32_t operation,
	const struct sign_request *q, int32_t deadline_ms)
{
	struct local_call c;
	struct slice answer;
	KF_TRY(local_begin(l, &c));
	put_with(local_request(&c), operation, q, deadline_ms);
	local_send(&c);
	local_wait(&c);
	kf_err err = local_answer(&c, &answer);
	if (kf_ok(err))
		err = get(answer);
	local_end(&c);
	return err;
}

static inline kf_err ask(
	struct local *l, uint32_t operation, const char *key, int32_t deadline_ms)
{
	const struct sign_request q = sign_with(key);
	return ask_with(l, operation, &q, deadline_ms);
}

static inline kf_err sign(struct local *l, const char *key)
{
	return ask(l, KMIP_OPERATION_SIGN, key, 0);
}

static inline bool connect_with(int fd)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	size_t n = strlen(socket_name);
	memcpy(a.sun_path + 1, socket_name + 1, n - 1);
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	return connect(fd, (struct sockaddr *)&a, size) == 0;
}

static inline int connect_raw(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	return connect_with(fd) ? fd : -1;
}

/* True: the agent has closed the connection without a word. */
static inline bool is_cut_off(int fd)
{
	char c;
	return read(fd, &c, 1) == 0;
}

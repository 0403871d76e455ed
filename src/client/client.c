/* SPDX-License-Identifier: Apache-2.0 */
#include "client/client.h"
#include "client/status.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void kf_client_free(struct kf_client *c)
{
	if (!c)
		return;
	pool_clear(&c->pool);
	local_free(c->local);
	fleet_clear(&c->fleet);
	free(c);
}

static kf_err open_local(struct kf_client *c)
{
	const char *socket = c->fleet.settings.agent;
	struct local_conf conf = {
		.socket = strncmp(socket, "unix:", 5) ? socket : socket + 5,
		.agent_uid = getuid(),
		.deadline_ms = (unsigned)c->fleet.settings.timeout_ms,
	};
	return local_new(&conf, &c->local);
}

static kf_err make(struct settings *take, struct kf_client **ret, struct buf *why)
{
	struct kf_client *c = calloc(1, sizeof(*c));
	if (!c)
		return kf_fail(NOMEM, "making a client");
	kf_err err = fleet_init(&c->fleet, take, NULL, why);
	c->fleet.route.is_lazy = true;
	pool_init(&c->pool, &c->fleet);
	if (kf_ok(err) && c->fleet.settings.agent)
		err = open_local(c);
	if (!kf_ok(err)) {
		kf_client_free(c);
		return err;
	}
	*ret = c;
	return KF_OK;
}

kf_result kf_client_open(const char *path, struct kf_client **ret, kf_call *call)
{
	autobuf why = buf_new(65536);
	struct settings s = { 0 };
	kf_err err = settings_read(path, &s, &why);
	if (kf_ok(err))
		err = make(&s, ret, &why);
	settings_free(&s);
	return status_tell_lines(call, err, buf_slice(&why));
}

kf_result kf_client_new(const kf_options *options, struct kf_client **ret, kf_call *call)
{
	autobuf why = buf_new(65536);
	struct settings s = { 0 };
	kf_err err = settings_copy(options, &s, &why);
	if (kf_ok(err))
		err = make(&s, ret, &why);
	settings_free(&s);
	return status_tell_lines(call, err, buf_slice(&why));
}

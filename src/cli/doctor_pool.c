/* SPDX-License-Identifier: Apache-2.0
 *
 * Pools of tokens of a key server: what they need on this host, and what the key server says of them.
 */
#include "cli/check.h"
#include "cli/doctor.h"
#include "cli/doctor_cert.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SYSTEM_SOCKET "/run/pcscd/pcscd.comm"

static const struct doctor_option *find(
	const struct doctor *d, const char *pool, const char *key)
{
	const struct doctor_conf *c = &d->server_conf;
	const struct doctor_option *found = NULL;
	for (size_t i = 0; i < c->n; i++)
		if (!strcmp(c->item[i].section, "pool") &&
			!strcmp(c->item[i].label, pool) && !strcmp(c->item[i].key, key))
			found = &c->item[i];
	return found;
}

static struct doctor_place place_of(const struct doctor *d, const struct doctor_option *o)
{
	return doctor_at(d->server_conf.path, o ? o->line : 0);
}

/* ---- what they need here ---- */

static void check_there(struct doctor *d, const char *pool, const struct doctor_option *o,
	const char *path, const char *remedy)
{
	if (access(path, F_OK) == 0)
		doctor_fine(d, CHECK_POOL_MODULE, path);
	else if (errno == EACCES)
		doctor_unseen(d, CHECK_POOL_MODULE, path, strerror(errno));
	else
		doctor_tell(d, POOL_MODULE, place_of(d, o).text, pool, path,
			strerror(errno), remedy);
}

static void check_module(struct doctor *d, const char *pool)
{
	const struct doctor_option *o = find(d, pool, "module");
	char path[DOCTOR_PATH];
	if (o && kf_ok(doctor_conf_path(&d->server_conf, o->value, path, sizeof(path))))
		check_there(d, pool, o, path,
			"install the package of the module, or correct `module`");
}

/* One pcscd or several. */
static void check_services(struct doctor *d, const char *pool)
{
	static const char remedy[] = "apt install pcscd && systemctl enable --now "
				     "pcscd.socket";
	const struct doctor_option *o = find(d, pool, "socket");
	const char *at = o ? o->value : SYSTEM_SOCKET;
	char word[DOCTOR_PATH], path[DOCTOR_PATH];
	for (at += strspn(at, ", \t"); *at; at += strspn(at, ", \t")) {
		const size_t n = strcspn(at, ", \t");
		snprintf(word, sizeof(word), "%.*s", (int)n, at);
		if (kf_ok(doctor_conf_path(&d->server_conf, word, path, sizeof(path))))
			check_there(d, pool, o, path, remedy);
		at += n;
	}
}

static void check_pin(struct doctor *d, const char *pool)
{
	const struct doctor_option *o = find(d, pool, "pin");
	char path[DOCTOR_PATH], mode[8];
	if (!o || doctor_is_credential(o->value) ||
		!kf_ok(doctor_conf_path(&d->server_conf, o->value, path, sizeof(path))) ||
		access(path, F_OK))
		return;
	if (doctor_is_open(path, false, mode))
		doctor_tell(d, POOL_PIN, place_of(d, o).text, path, mode);
	else
		doctor_fine(d, CHECK_POOL_PIN, path);
}

static void check_pool(struct doctor *d, const char *pool)
{
	const struct doctor_option *driver = find(d, pool, "driver");
	if (driver && !strcmp(driver->value, "pkcs11"))
		check_module(d, pool);
	else
		check_services(d, pool);
	check_pin(d, pool);
}

/* ---- what the key server says ---- */

static double figure_of(const struct buf *page, const char *name, const char *pool)
{
	char series[192];
	snprintf(series, sizeof(series), "%s{pool=\"%.64s\"}", name, pool);
	return page_value(page, series);
}

static void judge_pool(struct doctor *d, const struct buf *page, const char *pool)
{
	const double serving = figure_of(page, "keyfleet_pool_tokens_serving", pool);
	const double all = figure_of(page, "keyfleet_pool_tokens", pool);
	const struct doctor_number of = doctor_number(isnan(all) ? 0 : (int64_t)all),
				   n = doctor_number(
					   isnan(serving) ? 0 : (int64_t)serving);
	if (isnan(serving) || isnan(all))
		doctor_unseen(d, CHECK_POOL_SERVING, pool,
			"the running key server does not have this pool");
	else if (serving == 0)
		doctor_tell(d, POOL_EMPTY, d->server_path, pool);
	else if (serving < all)
		doctor_tell(d, POOL_SERVING, d->server_path, pool, n.text, of.text);
	else
		doctor_fine(d, CHECK_POOL_SERVING, pool);
}

static void judge_overflows(struct doctor *d, const struct buf *page)
{
	const double sum = page_sum(page, "keyfleet_pool_overflows_total");
	if (sum > 0)
		doctor_tell(d, POOL_OVERFLOWS, d->server_path,
			doctor_number((int64_t)sum).text);
	else if (!isnan(sum))
		doctor_fine(d, CHECK_POOL_OVERFLOWS, d->server_path);
}

kf_err doctor_page(const struct doctor *d, struct buf *ret)
{
	const char *listen = doctor_conf_get(&d->server_conf, "health", "listen", "");
	const char *colon = strrchr(listen, ':');
	struct check_options o = { .timeout_s = 2 };
	char host[DOCTOR_PATH];
	autocheck ignored;
	check_init(&ignored);
	bool is_unix = !strncmp(listen, "unix:", 5);
	if (!colon)
		return kf_fail(MISSING, "it has no health endpoint: [health] listen");
	snprintf(host, sizeof(host), "%.*s",
		(int)(is_unix ? strlen(listen) : (size_t)(colon - listen)), listen);
	o.host = host;
	o.port = is_unix ? NULL : colon + 1;
	return check_fetch(&ignored, &o, ret);
}

/* Each once, at its first option. */
static bool is_first(const struct doctor_conf *c, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (!strcmp(c->item[k].section, "pool") &&
			!strcmp(c->item[k].label, c->item[i].label))
			return false;
	return !strcmp(c->item[i].section, "pool") && c->item[i].label[0];
}

void doctor_pools(struct doctor *d)
{
	const struct doctor_conf *c = &d->server_conf;
	autobuf page = buf_new(0);
	kf_err e = kf_fail(MISSING, "not asked");
	size_t pools = 0;
	for (size_t i = 0; i < c->n; i++) {
		if (!is_first(c, i))
			continue;
		if (pools++ == 0)
			e = doctor_page(d, &page);
		check_pool(d, c->item[i].label);
		if (kf_ok(e))
			judge_pool(d, &page, c->item[i].label);
		else
			doctor_unseen(
				d, CHECK_POOL_SERVING, c->item[i].label, e.site->text);
	}
	if (pools && kf_ok(e))
		judge_overflows(d, &page);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * What a host owes keyfleet: a clock that is right, and units that run with what their drop-ins say.
 */
#include "cli/doctor.h"
#include <stdio.h>
#include <string.h>
#include <sys/timex.h>
#include <unistd.h>

void doctor_host(struct doctor *d)
{
	struct timex t = { 0 };
	int state = adjtimex(&t);
	if (state < 0)
		doctor_unseen(d, CHECK_CLOCK_SYNCHRONISED, "adjtimex", "not permitted");
	else if (state == TIME_ERROR || t.status & STA_UNSYNC)
		doctor_tell(d, CLOCK_SYNCHRONISED, "adjtimex", "");
	else
		doctor_fine(d, CHECK_CLOCK_SYNCHRONISED, "adjtimex");
}

/* ---- drop-ins ---- */

struct unit {
	const char *name, *comm;
	bool is_ours;
};

static const struct unit units[] = {
	{ "nginx", "nginx", false },
	{ "apache2", "apache2", false },
	{ "haproxy", "haproxy", false },
	{ "stunnel@", "stunnel", false },
	{ "keyfleet-agent", "keyfleet-agent", true },
	{ "keyfleetd", "keyfleetd", true },
};

/* Settings that break something: a value that must not be, or one that must be in a list. */
struct rule {
	const char *key, *forbidden, *needed, *why;
	bool is_of_ours, is_of_webs;
};

static const struct rule rules[] = {
	{ "PrivateNetwork", "yes", NULL,
		"the abstract socket of the agent belongs to the host's network, which "
		"the unit does not see",
		true, true },
	{ "PrivateNetwork", "true", NULL,
		"the abstract socket of the agent belongs to the host's network, which "
		"the unit does not see",
		true, true },
	{ "RestrictAddressFamilies", NULL, "AF_UNIX",
		"without AF_UNIX nobody reaches the agent", true, true },
	{ "LimitCORE", "infinity", NULL, "a core dump holds what is in memory", true,
		false },
	{ "LimitMEMLOCK", "0", NULL, "memory cannot be locked", true, false },
};

struct drop_in {
	struct doctor *d;
	const struct unit *unit;
	pid_t pid;
};

static bool breaks(const struct rule *r, const struct unit *u, const char *value)
{
	if (!(u->is_ours ? r->is_of_ours : r->is_of_webs))
		return false;
	if (r->forbidden)
		return !strcmp(value, r->forbidden);
	return value[0] && value[0] != '~' && strcmp(value, "none") != 0 &&
	       !doctor_conf_lists(value, r->needed);
}

static void check_rules(const struct drop_in *x, const struct doctor_option *o,
	const struct doctor_place *at)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++)
		if (!strcmp(o->key, rules[i].key) && breaks(&rules[i], x->unit, o->value))
			doctor_tell(x->d, UNIT_LIMITS, at->text, o->key, o->value,
				rules[i].why, x->unit->name);
}

/* OPENSSL_CONF of the drop-in against that of the process. */
static void check_environment(const struct drop_in *x, const struct doctor_option *o,
	const struct doctor_place *at)
{
	static const char name[] = "OPENSSL_CONF=";
	char have[DOCTOR_PATH], want[DOCTOR_PATH];
	const char *value = o->value + (o->value[0] == '"');
	if (strcmp(o->key, "Environment") != 0 || !x->pid ||
		strncmp(value, name, sizeof(name) - 1) != 0)
		return;
	value += sizeof(name) - 1;
	snprintf(want, sizeof(want), "%.*s", (int)strcspn(value, " \""), value);
	kf_err e = proc_getenv(x->pid, "OPENSSL_CONF", have, sizeof(have));
	if (kf_is(e, KF_E_NOT_FOUND) || (kf_ok(e) && strcmp(have, want) != 0))
		doctor_tell(x->d, UNIT_RELOADED, at->text, at->text, o->value,
			doctor_number(x->pid).text, x->unit->name);
	else if (kf_ok(e))
		doctor_fine(x->d, CHECK_UNIT_RELOADED, at->text);
}

static kf_err look_into(void *arg, const char *path)
{
	const struct drop_in *x = arg;
	struct doctor_conf conf;
	kf_err e = doctor_conf_read(path, &conf);
	for (size_t i = 0; kf_ok(e) && i < conf.n; i++) {
		const struct doctor_option *o = &conf.item[i];
		const struct doctor_place at = doctor_at(path, o->line);
		if (strcmp(o->section, "Service") != 0)
			continue;
		check_rules(x, o, &at);
		check_environment(x, o, &at);
	}
	doctor_conf_free(&conf);
	return KF_OK;
}

void doctor_units(struct doctor *d)
{
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		char pattern[DOCTOR_PATH];
		const struct proc_wish wish = { .comm = units[i].comm };
		struct drop_in x = { d, &units[i], proc_find(&wish) };
		snprintf(pattern, sizeof(pattern), "%s/%s.service.d/*.conf",
			d->units_path, units[i].name);
		kf_err e = site_disk.glob(site_disk.arg, pattern, look_into, &x);
		(void)e; /* no drop-ins */
	}
}

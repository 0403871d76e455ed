/* SPDX-License-Identifier: Apache-2.0 */
#include "client/fleet.h"
#include "base/clock.h"
#include "base/mem.h"
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

uint32_t fleet_random(struct fleet *f)
{
	/* xorshift64* */
	f->random ^= f->random >> 12;
	f->random ^= f->random << 25;
	f->random ^= f->random >> 27;
	return (uint32_t)((f->random * 2685821657736338717ULL) >> 32);
}

static void seed(struct fleet *f)
{
	if (getrandom(&f->random, sizeof(f->random), GRND_NONBLOCK) < 0 || !f->random)
		f->random = clock_monotonic_ns() | 1;
}

/* ---- names ---- */

/* "host:port", "[v6]:port" -> host, port. */
static bool split(const char *text, char host[256], char port[8])
{
	const char *colon = strrchr(text, ':');
	if (!colon)
		return false;
	bool is_bracketed = text[0] == '[' && colon > text + 1 && colon[-1] == ']';
	const char *from = is_bracketed ? text + 1 : text;
	size_t n = (size_t)(colon - from) - is_bracketed;
	if (n == 0 || n >= 256 || strlen(colon + 1) >= 8)
		return false;
	memcpy(host, from, n);
	host[n] = 0;
	strcpy(port, colon + 1);
	return true;
}

static void set_host(struct node *n, const struct settings *s, const char *host)
{
	const char *wanted = s->server_name ? s->server_name : host;
	snprintf(n->host, sizeof(n->host), "%s", strcmp(wanted, "*") ? wanted : "");
}

struct harvest {
	const struct settings *settings;
	struct fleet_nodes *into;
};

static void add_node(
	struct harvest *h, const struct addrinfo *a, const char *host, const char *text)
{
	if (h->into->n == NODES_MAX || a->ai_addrlen > sizeof(struct sockaddr_storage))
		return;
	struct node *n = &h->into->node[h->into->n++];
	*n = (struct node){ 0 };
	memcpy(&n->address.sa, a->ai_addr, a->ai_addrlen);
	n->address.n = a->ai_addrlen;
	set_host(n, h->settings, host);
	snprintf(n->name, sizeof(n->name), "%s", text);
}

static void add_name(struct harvest *h, const char *text)
{
	char host[256], port[8];
	if (!split(text, host, port))
		return;
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG },
			*found = NULL;
	/* AI_ADDRCONFIG hides ::1 and 127.0.0.1 on hosts without a network: numbers go without. */
	struct address number;
	if (kf_ok(address_parse(text, &number)))
		hints.ai_flags = AI_NUMERICSERV | AI_NUMERICHOST;
	if (getaddrinfo(host, port, &hints, &found) != 0)
		return;
	for (struct addrinfo *a = found; a; a = a->ai_next)
		add_node(h, a, host, text);
	freeaddrinfo(found);
}

/* The file of a server that chose its port: one address. */
static void add_file(struct harvest *h, const char *path)
{
	autobuf file = buf_new(512), why = buf_new(1024);
	char text[NODE_NAME_MAX];
	if (!kf_ok(conf_read_file(path, &file, &why)))
		return;
	struct slice s = buf_slice(&file);
	while (s.n && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == ' '))
		s.n--;
	if (kf_ok(slice_to_text(s, text, sizeof(text))))
		add_name(h, text);
}

kf_err fleet_look_up(const struct settings *s, struct fleet_nodes *ret)
{
	struct harvest h = { s, ret };
	ret->n = 0;
	ret->is_partial = false;
	for (size_t i = 0; i < s->servers.n; i++) {
		const char *item = s->servers.item[i];
		size_t before = ret->n;
		if (strncmp(item, "file:", 5) == 0)
			add_file(&h, item + 5);
		else
			add_name(&h, item);
		ret->is_partial |= ret->n == before;
	}
	return ret->n ? KF_OK
		      : kf_fail(UNAVAILABLE, "no address of a key server is known");
}

static bool is_same(const struct node *a, const struct node *b)
{
	return a->address.n == b->address.n && strcmp(a->host, b->host) == 0 &&
	       memcmp(&a->address.sa, &b->address.sa, a->address.n) == 0;
}

bool fleet_has_names(const struct settings *s)
{
	struct address number;
	for (size_t i = 0; i < s->servers.n; i++)
		if (!kf_ok(address_parse(s->servers.item[i], &number)))
			return true;
	return false;
}

bool fleet_is_same(const struct fleet *f, const struct fleet_nodes *found)
{
	size_t same = 0;
	for (size_t i = 0; i < found->n; i++)
		for (size_t k = 0; k < f->route.n; k++)
			same += is_same(&found->node[i], &f->nodes[k]);
	return f->route.n == found->n && same >= found->n;
}

static bool has_found(const struct fleet_nodes *found, const struct node *n)
{
	for (size_t i = 0; i < found->n; i++)
		if (is_same(&found->node[i], n))
			return true;
	return false;
}

void fleet_add_known(const struct fleet *f, struct fleet_nodes *found)
{
	for (size_t i = 0; found->is_partial && i < f->route.n; i++) {
		const struct node *known = &f->nodes[i];
		if (found->n == NODES_MAX || has_found(found, known))
			continue;
		struct node *n = &found->node[found->n++];
		*n = (struct node){ .address = known->address };
		memcpy(n->host, known->host, sizeof(n->host));
		memcpy(n->name, known->name, sizeof(n->name));
	}
}

static void move_known(struct fleet *f, struct node *to)
{
	for (size_t i = 0; i < f->route.n; i++)
		if (is_same(&f->nodes[i], to)) {
			*to = f->nodes[i];
			to->outstanding = 0;
			f->nodes[i].session = NULL;
			return;
		}
}

static void forget_nodes(struct fleet *f)
{
	for (size_t i = 0; i < f->route.n; i++)
		tls_session_free(f->nodes[i].session);
	f->route.n = 0;
}

void fleet_adopt(struct fleet *f, const struct fleet_nodes *found)
{
	struct node nodes[NODES_MAX];
	memcpy(nodes, found->node, found->n * sizeof(nodes[0]));
	for (size_t i = 0; i < found->n; i++)
		move_known(f, &nodes[i]);
	forget_nodes(f);
	memcpy(f->nodes, nodes, found->n * sizeof(nodes[0]));
	route_init(&f->route, f->nodes, found->n, fleet_random(f));
}

void fleet_say_why(const struct fleet *f, char *text, size_t size)
{
	size_t at = 0;
	const char *first = f->settings.servers.n ? f->settings.servers.item[0] : "";
	for (size_t i = 0; i < f->route.n && at + 1 < size; i++) {
		const struct node *n = &f->nodes[i];
		int more = node_is_to_blame(n)
				   ? snprintf(text + at, size - at, "%s%s: %s",
					     at ? "; " : "", n->name, n->why)
				   : 0;
		at += more > 0 ? (size_t)more : 0;
	}
	if (!at)
		snprintf(text, size, "%s (servers = %s%s)",
			f->route.n ? "no connection yet"
				   : "no address of a key server is known",
			first, f->settings.servers.n > 1 ? " ..." : "");
}

/* ---- beginning and end ---- */

static kf_err open_identity(struct fleet *f, struct buf *why)
{
	static const char *const alpn[] = { "keyfleet/1", "kmip", NULL };
	const struct tls_options options = { .alpn = alpn };
	const struct tls_files files = { .certificate = f->settings.certificate,
		.key = f->settings.key,
		.authorities = f->settings.ca };
	return tls_context_open(&options, &files, why, &f->tls);
}

kf_err fleet_init(struct fleet *ret, struct settings *take,
	const struct fleet_nodes *found, struct buf *why)
{
	*ret = (struct fleet){ .settings = *take };
	*take = (struct settings){ 0 };
	seed(ret);
	if (ret->settings.agent)
		return KF_OK;
	KF_TRY(open_identity(ret, why));
	ret->setup = (struct conn_setup){ .tls = ret->tls,
		.message_max = (size_t)ret->settings.message_max };
	struct fleet_nodes asked;
	if (found)
		fleet_adopt(ret, found);
	else if (kf_ok(fleet_look_up(&ret->settings, &asked)))
		fleet_adopt(ret, &asked);
	return KF_OK; /* the name service may come later than we */
}

void fleet_clear(struct fleet *f)
{
	forget_nodes(f);
	tls_context_free(f->tls);
	settings_free(&f->settings);
	*f = (struct fleet){ 0 };
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * relay: a network between two programs of a test, as long, as silent and as broken as the test wants.
 *
 *     relay LISTEN-PORT TARGET-PORT        both on 127.0.0.1; port 0 takes a free one
 *
 * Prints "ready PORT".  Commands on standard input, a line each, answered with "ok":
 *     delay MICROSECONDS   what is sent arrives that much later, in each direction
 *     hole                 nothing arrives any more, either way; connections stay open, new ones wait
 *     pass                 everything arrives again, what was held up too
 *     cut                  all connections are closed
 * Ends with its standard input.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK_SIZE = 64 << 10, EVENTS = 256, QUEUED_MAX = 4 << 20 };

struct chunk {
	struct chunk *next;
	uint64_t due_ns;
	size_t n, sent; /* n 0: the sender has closed */
	uint8_t p[];
};

/* One direction of a connection: from the socket it belongs to, to the peer's. */
struct end {
	int fd;
	struct end *peer;
	struct link *link;
	struct chunk *first, **last; /* on their way to the peer */
	size_t queued;
	bool has_closed, is_blocked; /* the peer takes nothing now */
};

struct link {
	struct end a, b;
	struct link *next, **at;
	bool is_dead;
};

static struct link *links, *dead;
static int poller, listener;
static uint16_t target;
static uint64_t delay_ns;
static bool is_hole;

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static _Noreturn void give_up(const char *what)
{
	perror(what);
	exit(1);
}

static void watch(int fd, void *of)
{
	struct epoll_event e = { EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		{ .ptr = of } };
	if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e))
		give_up("epoll_ctl");
}

static void drop(struct end *e)
{
	close(e->fd);
	for (struct chunk *c = e->first, *next; c; c = next) {
		next = c->next;
		free(c);
	}
}

/* Freed when the round of events is over, which may still name it. */
static void bury(struct link *l)
{
	if (l->is_dead)
		return;
	l->is_dead = true;
	*l->at = l->next;
	if (l->next)
		l->next->at = l->at;
	drop(&l->a);
	drop(&l->b);
	l->next = dead;
	dead = l;
}

static void append(struct end *e, const uint8_t *p, size_t n)
{
	struct chunk *c = malloc(sizeof *c + n);
	if (!c)
		give_up("malloc");
	*c = (struct chunk){ .due_ns = now_ns() + delay_ns, .n = n };
	if (n)
		memcpy(c->p, p, n);
	*e->last = c;
	e->last = &c->next;
	e->queued += n;
}

static void take_in(struct end *e)
{
	static uint8_t p[CHUNK_SIZE];
	while (!e->link->is_dead && !e->has_closed && !is_hole &&
		e->queued < QUEUED_MAX) {
		ssize_t n = recv(e->fd, p, sizeof p, 0);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			bury(e->link);
			return;
		}
		append(e, p, (size_t)n);
		e->has_closed = n == 0;
	}
}

/* False: the peer takes no more, or is gone. */
static bool send_chunk(struct end *e, struct chunk *c)
{
	if (!c->n) {
		shutdown(e->peer->fd, SHUT_WR);
		return true;
	}
	ssize_t n = send(e->peer->fd, c->p + c->sent, c->n - c->sent, MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN)
		bury(e->link);
	if (n < 0)
		return !(e->is_blocked = true);
	c->sent += (size_t)n;
	return c->sent == c->n || !(e->is_blocked = true);
}

static void hand_out(struct end *e, uint64_t now)
{
	while (!e->link->is_dead && !is_hole && !e->is_blocked && e->first &&
		e->first->due_ns <= now) {
		struct chunk *c = e->first;
		if (!send_chunk(e, c))
			return;
		e->first = c->next;
		if (!e->first)
			e->last = &e->first;
		e->queued -= c->n;
		free(c);
	}
	if (!e->link->is_dead && e->has_closed && e->peer->has_closed && !e->first &&
		!e->peer->first)
		bury(e->link);
}

static void serve(struct end *e)
{
	if (e->link->is_dead)
		return;
	e->peer->is_blocked = false;
	take_in(e);
}

static int connect_target(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons(target),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) &&
		errno != EINPROGRESS) {
		close(fd);
		return -1;
	}
	return fd;
}

static void begin_end(struct end *e, int fd, struct link *l, struct end *peer)
{
	*e = (struct end){ .fd = fd, .peer = peer, .link = l };
	e->last = &e->first;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	watch(fd, e);
}

static void begin(int near)
{
	int far = connect_target();
	if (far < 0) {
		close(near);
		return;
	}
	struct link *l = calloc(1, sizeof *l);
	if (!l)
		give_up("calloc");
	*l = (struct link){ .next = links, .at = &links };
	if (links)
		links->at = &l->next;
	links = l;
	begin_end(&l->a, near, l, &l->b);
	begin_end(&l->b, far, l, &l->a);
}

static void accept_all(void)
{
	int fd;
	while (!is_hole &&
		(fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
		begin(fd);
}

static void each_end(void (*act)(struct end *))
{
	for (struct link *l = links, *next; l; l = next) {
		next = l->next;
		act(&l->a);
		act(&l->b);
	}
}

static void cut(struct end *e) { bury(e->link); }

static void obey(const char *line)
{
	unsigned long us;
	if (sscanf(line, "delay %lu", &us) == 1)
		delay_ns = (uint64_t)us * 1000;
	else if (!strcmp(line, "hole\n"))
		is_hole = true;
	else if (!strcmp(line, "pass\n"))
		is_hole = false;
	else if (!strcmp(line, "cut\n"))
		each_end(cut);
	else
		exit(2);
	puts("ok");
	accept_all();
	each_end(take_in);
}

static void hear(void)
{
	static char text[256];
	static size_t have;
	ssize_t n = read(STDIN_FILENO, text + have, sizeof text - 1 - have);
	if (n <= 0)
		exit(0);
	have += (size_t)n;
	text[have] = 0;
	for (char *end; (end = memchr(text, '\n', have));) {
		char line[sizeof text] = { 0 };
		memcpy(line, text, (size_t)(end + 1 - text));
		obey(line);
		have -= (size_t)(end + 1 - text);
		memmove(text, end + 1, have);
	}
}

/* Sends what is due; says when the next is, UINT64_MAX: nothing waits. */
static uint64_t deliver(void)
{
	uint64_t now = now_ns(), next = UINT64_MAX;
	for (struct link *l = links, *after; l; l = after) {
		after = l->next;
		struct end *both[] = { &l->a, &l->b };
		for (int i = 0; i < 2 && !l->is_dead; i++) {
			hand_out(both[i], now);
			struct chunk *c = l->is_dead || is_hole || both[i]->is_blocked
						  ? NULL
						  : both[i]->first;
			if (c && c->due_ns < next)
				next = c->due_ns;
			if (!l->is_dead)
				take_in(both[i]);
		}
	}
	return next;
}

static int wait_for(struct epoll_event *events, uint64_t due)
{
	uint64_t now = now_ns(), left = due > now ? due - now : 0;
	struct timespec t = { (time_t)(left / 1000000000), (long)(left % 1000000000) };
	return epoll_pwait2(poller, events, EVENTS, due == UINT64_MAX ? NULL : &t, NULL);
}

static void free_dead(void)
{
	while (dead) {
		struct link *l = dead;
		dead = l->next;
		free(l);
	}
}

static void run(void)
{
	struct epoll_event events[EVENTS];
	for (;;) {
		int n = wait_for(events, deliver());
		for (int i = 0; i < n; i++)
			if (events[i].data.ptr == &listener)
				accept_all();
			else if (events[i].data.ptr == &poller)
				hear();
			else
				serve(events[i].data.ptr);
		free_dead();
	}
}

static void listen_on(uint16_t port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof at;
	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	if (bind(listener, (struct sockaddr *)&at, n) || listen(listener, 4096))
		give_up("listen");
	if (getsockname(listener, (struct sockaddr *)&at, &n))
		give_up("getsockname");
	watch(listener, &listener);
	printf("ready %u\n", (unsigned)ntohs(at.sin_port));
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	target = (uint16_t)atoi(argv[2]);
	poller = epoll_create1(EPOLL_CLOEXEC);
	if (poller < 0)
		give_up("epoll_create1");
	watch(STDIN_FILENO, &poller);
	listen_on((uint16_t)atoi(argv[1]));
	run();
}

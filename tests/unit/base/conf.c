/* SPDX-License-Identifier: Apache-2.0 */
#include "base/conf.h"
#include "base/mem.h"
#include "test.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct limit {
	char *label;
	int64_t rate;
	struct conf_list hosts;
};

struct program {
	char *name, *key, *listen;
	int64_t port, memory, timeout_ms;
	bool is_fast;
	int level;
	struct conf_group limits;
};

static const char *const levels[] = { "low", "high", NULL };
static const char *no_dots(const char *v)
{
	return strchr(v, '.') ? "has dots; leave them out" : NULL;
}

static const struct conf_section sections[] = {
	{ "server", 0, 0, "The server." },
	{ "limit", sizeof(struct limit), offsetof(struct program, limits), "A limit." },
};

#define AT(f) .offset = offsetof(struct program, f)
#define IN(f) .offset = offsetof(struct limit, f)
static const struct conf_option options[] = {
	{ "server", "name", CONF_TEXT, AT(name), .initial = "none", .check = no_dots },
	{ "server", "key", CONF_PATH, AT(key), .is_required = true },
	{ "server", "listen", CONF_ADDRESS, AT(listen), .initial = "0.0.0.0:5696" },
	{ "server", "port", CONF_INTEGER, AT(port), .initial = "5696", .min = 1,
		.max = 65535 },
	{ "server", "memory", CONF_SIZE, AT(memory), .initial = "64M" },
	{ "server", "timeout", CONF_DURATION, AT(timeout_ms), .initial = "2s",
		.max = 60000, .manual = "how long to wait" },
	{ "server", "fast", CONF_BOOL, AT(is_fast), .initial = "yes" },
	{ "server", "level", CONF_ENUM, AT(level), .words = levels, .initial = "high" },
	{ "limit", "rate", CONF_INTEGER, IN(rate), .initial = "10" },
	{ "limit", "hosts", CONF_LIST, IN(hosts) },
};
static const struct conf_table table = CONF_TABLE(sections, options);

static void program_free(struct program *p) { conf_free(&table, p); }
#define autoprogram CLEANUP(program_free) struct program

static char said[8192];

static kf_err parse(const char *text, struct program *p)
{
	autobuf errors = buf_new(sizeof(said) - 1);
	kf_err e = conf_parse(&table, "/etc/x/t.conf", slice_of(text), p, &errors);
	memcpy(said, errors.p ? errors.p : (uint8_t *)said, errors.n);
	said[errors.n] = 0;
	return e;
}

/* Parses and wants exactly this text of errors. */
static bool complains(const char *text, const char *want)
{
	autoprogram p = { 0 };
	if (!kf_is(parse(text, &p), KF_E_CONFIG))
		return false;
	if (strcmp(said, want) == 0)
		return true;
	printf("# said: %s", said);
	return false;
}

TEST(a_credential_is_a_file_of_the_service_manager)
{
	autoprogram p = { 0 };
	setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x", 1);
	OK(kf_ok(parse("[server]\nkey = credential:server.key\n", &p)));
	OK(strcmp(p.key, "/run/credentials/x/server.key") == 0);
	OK(complains("[server]\nkey = credential:../server.key\n",
		"/etc/x/t.conf:2: `key`: `credential:../server.key` names no "
		"credential\n"));
	unsetenv("CREDENTIALS_DIRECTORY");
	OK(complains("[server]\nkey = credential:server.key\n",
		"/etc/x/t.conf:2: `key`: `credential:server.key` is not there: "
		"the service manager gave no credentials (LoadCredential=)\n"));
}

TEST(what_is_not_set_has_its_default)
{
	autoprogram p = { 0 };
	OK(kf_ok(parse("[server]\nkey=/k\n", &p)));
	OK(strcmp(p.name, "none") == 0);
	EQ(p.port, 5696);
	EQ(p.memory, 64 << 20);
	EQ(p.timeout_ms, 2000);
	OK(p.is_fast);
	EQ(p.level, 1);
	EQ(p.limits.n, 0);
}

TEST(every_type_is_read)
{
	autoprogram p = { 0 };
	OK(kf_ok(parse(
		"# a comment\r\n\n [server] # the server\n"
		"name = \"a # b \" # quoted\n key = k.pem\nport=1\n"
		"listen = unix:sock\nmemory = 2G\ntimeout = 1m\nfast = off\nlevel = low\n"
		"[limit www one]\nrate = 7\nhosts = a, b\tc\n[limit x]",
		&p)));
	OK(strcmp(p.name, "a # b ") == 0);
	OK(strcmp(p.key, "/etc/x/k.pem") == 0);
	OK(strcmp(p.listen, "unix:/etc/x/sock") == 0);
	EQ(p.port, 1);
	EQ(p.memory, 2LL << 30);
	EQ(p.timeout_ms, 60000);
	OK(!p.is_fast);
	EQ(p.level, 0);
	EQ(p.limits.n, 2);
	struct limit *l = p.limits.items;
	OK(strcmp(l[0].label, "www one") == 0);
	EQ(l[0].rate, 7);
	EQ(l[0].hosts.n, 3);
	OK(strcmp(l[0].hosts.item[2], "c") == 0);
	EQ(l[1].rate, 10);
}

TEST(a_mistake_comes_with_line_and_remedy)
{
	OK(complains("[server]\nkey = k\nprot = 1\n",
		"/etc/x/t.conf:3: unknown option `prot` "
		"in [server]; did you mean `port`?\n"));
	OK(complains("[server]\nkey = k\nrate = 1\n",
		"/etc/x/t.conf:3: unknown option `rate` "
		"in [server]; it belongs to [limit]\n"));
	OK(complains("[server]\nkey = k\n[sever]\nx = 1\n[limit]\n",
		"/etc/x/t.conf:3: unknown section [sever]; did you mean [server]?\n"
		"/etc/x/t.conf:5: section [limit] needs a label; write [limit NAME]\n"));
	OK(complains("[server]\nport = 1\n",
		"/etc/x/t.conf:1: [server] lacks the option `key`; add: key = PATH\n"));
}

TEST(all_mistakes_are_reported_at_once)
{
	OK(complains("name = x\n[server]\nkey = k\nkey = l\nport = 70000\nmemory = 3X\n"
		     "timeout = 5\nfast = maybe\nlevel = middle\nlisten = 1.2.3.4\nname "
		     "= a.b\nnonsense\n"
		     "[limit a]\n[limit a]\nrate = -1\n[server]\n[limit b",
		"/etc/x/t.conf:1: option `name` stands before the first [section]\n"
		"/etc/x/t.conf:4: option `key` appears twice in [server]; remove one\n"
		"/etc/x/t.conf:5: `port`: `70000` is out of range; give 1 to 65535\n"
		"/etc/x/t.conf:6: `memory`: `3X` is not bytes, or a number with K, M or "
		"G\n"
		"/etc/x/t.conf:7: `timeout`: `5` is not a number with ms, s, m, h or d\n"
		"/etc/x/t.conf:8: `fast`: `maybe` is neither yes nor no\n"
		"/etc/x/t.conf:9: `level`: `middle` is not one of: low, high\n"
		"/etc/x/t.conf:10: `listen`: `1.2.3.4` is not an address; write "
		"HOST:PORT, [IPV6]:PORT, "
		"unix:PATH or unix:@NAME\n"
		"/etc/x/t.conf:11: `name`: `a.b` has dots; leave them out\n"
		"/etc/x/t.conf:12: `nonsense` is neither `key = value` nor a [section]\n"
		"/etc/x/t.conf:14: section [limit a] appears twice; join the two\n"
		"/etc/x/t.conf:15: `rate`: `-1` is negative; give 0 or more\n"
		"/etc/x/t.conf:16: section [server] appears twice; join the two\n"
		"/etc/x/t.conf:17: `]` is missing at the end of the section's name\n"));
}

TEST(a_secret_that_is_read_by_mistake_is_not_repeated)
{
	OK(complains(
		"-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n"
		"AgEGCCqGSM49AwEHBG0wawIBAQ==\n[server]\nkey = k\n2026-11-21 c2VjcmV0=\n",
		"/etc/x/t.conf:1: neither `key = value` nor a [section]\n"
		"/etc/x/t.conf:2: neither `key = value` nor a [section]\n"
		"/etc/x/t.conf:3: what stands before = is not the name of an option\n"
		"/etc/x/t.conf:6: what stands before = is not the name of an option\n"));
}

TEST(numbers_that_overflow_are_refused)
{
	autoprogram p = { 0 };
	OK(!kf_ok(parse("[server]\nkey=k\nmemory = 99999999999999999999\n", &p)));
	autoprogram q = { 0 };
	OK(!kf_ok(parse("[server]\nkey=k\nmemory = 9223372036854775807G\n", &q)));
	autoprogram r = { 0 };
	OK(!kf_ok(parse("[server]\nkey=k\ntimeout = 61s\n", &r)));
	OK(strstr(said, "give 0 to 60000 ms"));
}

TEST(control_characters_and_endless_lines_are_refused)
{
	autoprogram p = { 0 };
	char line[6000] = "[server]\nkey=";
	memset(line + 13, 'a', sizeof(line) - 14);
	line[sizeof(line) - 1] = 0;
	OK(!kf_ok(parse(line, &p)));
	OK(strstr(said, ":2: the line is longer than 4095 bytes"));
	autoprogram q = { 0 };
	OK(!kf_ok(parse("[server]\nkey=a\x1b[2Jb\n", &q)));
	OK(strstr(said, "control characters"));
}

TEST(addresses_have_four_forms)
{
	static const char *const good[] = { "127.0.0.1:0", "[::]:5696",
		"keys.example:5696", "unix:/run/x", "unix:@x", "file:address" };
	static const char *const bad[] = { "", "::1:5696", "a:", ":1", "a:65536", "a:-1",
		"a:1x", "[::1:1", "unix:", "unix:@", "[]" };
	char text[128];
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		autoprogram p = { 0 };
		snprintf(text, sizeof(text), "[server]\nkey=k\nlisten = %s\n", good[i]);
		OK(kf_ok(parse(text, &p)));
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		autoprogram p = { 0 };
		snprintf(text, sizeof(text), "[server]\nkey=k\nlisten = %s\n", bad[i]);
		OK(!kf_ok(parse(text, &p)));
	}
}

TEST(the_table_prints_its_manual)
{
	autobuf out = buf_new(8192);
	conf_print_manual(&table, &out);
	buf_add_u8(&out, 0);
	OK(strstr((char *)out.p, "  timeout = DURATION\n      how long to wait (0 to "
				 "60000 ms); default 2s\n"));
	OK(strstr((char *)out.p, "  level = low|high\n"));
	OK(strstr((char *)out.p, "\n[limit NAME]\n  A limit.\n"));
}

static char dir[] = "/tmp/kf-conf-XXXXXX";
static char path[64];

static void put_file(const char *text, mode_t mode)
{
	if (!path[0] && mkdtemp(dir))
		snprintf(path, sizeof(path), "%s/secret", dir);
	unlink(path);
	CLEANUP(mem_closep) int fd = open(path, O_CREAT | O_WRONLY, 0600);
	ssize_t n = write(fd, text, strlen(text));
	(void)n;
	fchmod(fd, mode);
}

TEST(a_secret_file_must_be_private)
{
	autobuf got = buf_new(64), why = buf_new(1024);
	put_file("s3cret", 0644);
	OK(kf_is(conf_read_secret(path, &got, &why), KF_E_DENIED));
	buf_add_u8(&why, 0);
	OK(strstr((char *)why.p, "run: chmod 600 /tmp/kf-conf-"));
	OK(!strstr((char *)why.p, "s3cret"));
	put_file("s3cret", 0640);
	OK(kf_is(conf_read_secret(path, &got, &why), KF_E_DENIED));
	put_file("s3cret", 0400);
	OK(kf_ok(conf_read_secret(path, &got, &why)));
	MEMEQ(got.p, got.n, "s3cret");
}

TEST(files_have_a_size_limit_and_must_be_files)
{
	autobuf got = buf_new(4), why = buf_new(1024);
	put_file("12345", 0600);
	OK(kf_is(conf_read_file(path, &got, &why), KF_E_TOO_BIG));
	autobuf more = buf_new(4);
	OK(kf_is(conf_read_file("/dev/null", &more, &why), KF_E_DENIED));
	OK(kf_is(conf_read_file("/nonexistent/x", &more, &why), KF_E_NOT_FOUND));
}

TEST(credentials_of_the_service_manager_are_found)
{
	autobuf got = buf_new(64), why = buf_new(1024);
	put_file("pin", 0440);
	unsetenv("CREDENTIALS_DIRECTORY");
	OK(kf_is(conf_read_credential("secret", &got, &why), KF_E_NOT_FOUND));
	setenv("CREDENTIALS_DIRECTORY", dir, 1);
	OK(kf_ok(conf_read_credential("secret", &got, &why)));
	MEMEQ(got.p, got.n, "pin");
	OK(kf_is(conf_read_credential("../x", &got, &why), KF_E_NOT_FOUND));
	unsetenv("CREDENTIALS_DIRECTORY");
	unlink(path);
	rmdir(dir);
}
TEST_MAIN

/* SPDX-License-Identifier: Apache-2.0
 *
 * run: a fuzz target in the normal test run, without libFuzzer: every file of the corpus as it is, cut
 * at every byte, and with a fixed sequence of mutations.  The same input gives the same run.
 *
 *     fuzz-NAME CORPUS-FILE...        (with -Dfuzz=true the targets are libFuzzer's instead)
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* A target that takes long at each input says so: only one in so many is run. */
extern const unsigned fuzz_one_in __attribute__((weak));

enum { FILE_MAX = 65536, MUTATIONS = 20000, CUTS_MAX = 4096 };

/* A target whose inputs cost much says how many there are. */
extern const int fuzz_mutations __attribute__((weak));

static uint32_t random_next(void)
{
	static uint32_t x = 2463534242u;
	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return x;
}

/* Each input lives in memory of exactly its size, so that sanitizers see a step beyond it. */
static void run_one(const uint8_t *data, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);
	if (!copy)
		abort();
	memcpy(copy, data, n);
	LLVMFuzzerTestOneInput(copy, n);
	free(copy);
}

static uint8_t interesting(void)
{
	static const uint8_t values[] = { 0, 1, 0x7f, 0x80, 0x81, 0x82, 0xff, '\n', '-' };
	uint32_t r = random_next();
	return r & 1 ? (uint8_t)(r >> 8) : values[(r >> 8) % sizeof(values)];
}

static size_t mutate(uint8_t *data, size_t n)
{
	for (uint32_t i = random_next() % 4 + 1; i > 0 && n > 0; i--) {
		uint32_t at = random_next() % (uint32_t)n;
		switch (random_next() % 8) {
		case 0: n = at; break;
		case 1:
			memmove(data + at, data + at + 1, n - at - 1);
			n--;
			break;
		case 2: data[at] ^= (uint8_t)(1 << random_next() % 8); break;
		default: data[at] = interesting(); break;
		}
	}
	return n;
}

static void run_corpus(const uint8_t *data, size_t n, int mutations)
{
	static uint8_t work[FILE_MAX];
	unsigned step = &fuzz_one_in ? fuzz_one_in : 1;
	run_one(data, n);
	for (size_t cut = 0; cut < n && cut < CUTS_MAX * (size_t)step; cut += step)
		run_one(data, cut);
	for (int i = 0; i < mutations / (int)step; i++) {
		memcpy(work, data, n);
		run_one(work, mutate(work, n));
	}
}

int main(int argc, char **argv)
{
	static uint8_t data[FILE_MAX];
	int mutations = &fuzz_mutations ? fuzz_mutations : MUTATIONS;
	for (int i = 1; i < argc; i++) {
		FILE *f = fopen(argv[i], "rb");
		if (!f) {
			perror(argv[i]);
			return 1;
		}
		size_t n = fread(data, 1, sizeof(data), f);
		fclose(f);
		run_corpus(data, n, mutations / (argc - 1));
	}
	return argc < 2;
}

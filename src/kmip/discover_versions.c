/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/discover_versions.h"
#include "kmip/wire.h"

static void put_list(struct ttlv_writer *w, const uint16_t *version, size_t n)
{
	for (size_t i = 0; i < n; i++)
		wire_put_version(w, version[i]);
}

static kf_err get_list(struct ttlv_reader *r, uint16_t *version, size_t *n)
{
	*n = 0;
	while (ttlv_at(r, TAG_PROTOCOL_VERSION)) {
		uint16_t v = 0;
		wire_get_version(r, &v);
		if (ttlv_ok(r) && *n < DISCOVER_VERSIONS_MAX)
			version[(*n)++] = v;
	}
	return ttlv_done(r);
}

void discover_versions_put_request(
	struct ttlv_writer *w, const struct discover_versions_request *q)
{
	put_list(w, q->version, q->n);
}

kf_err discover_versions_get_request(
	struct ttlv_reader *r, struct discover_versions_request *ret)
{
	*ret = (struct discover_versions_request){ 0 };
	return get_list(r, ret->version, &ret->n);
}

void discover_versions_put_response(
	struct ttlv_writer *w, const struct discover_versions_response *a)
{
	put_list(w, a->version, a->n);
}

kf_err discover_versions_get_response(
	struct ttlv_reader *r, struct discover_versions_response *ret)
{
	*ret = (struct discover_versions_response){ 0 };
	return get_list(r, ret->version, &ret->n);
}

void discover_versions_choose(
	const struct discover_versions_request *q, struct discover_versions_response *ret)
{
	static const uint16_t ours[] = { KMIP_2_1, KMIP_2_0, KMIP_1_4, KMIP_1_3, KMIP_1_2,
		KMIP_1_1, KMIP_1_0 };
	*ret = (struct discover_versions_response){ 0 };
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
		bool is_wanted = q->n == 0;
		for (size_t k = 0; k < q->n; k++)
			is_wanted |= q->version[k] == ours[i];
		if (is_wanted)
			ret->version[ret->n++] = ours[i];
	}
}

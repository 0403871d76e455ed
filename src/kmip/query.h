/* SPDX-License-Identifier: Apache-2.0
 *
 * Query: what the server can do.
 */
#pragma once
#include "kmip/message.h"

enum { QUERY_FUNCTIONS_MAX = 32, QUERY_LIST_MAX = 96, QUERY_TYPES_MAX = 16 };

struct query_request {
	size_t n;
	uint32_t function
		[QUERY_FUNCTIONS_MAX]; /* KMIP_QUERY_FUNCTION_..., in their order */
};

struct query_response {
	/* Numbers of operations and object types; what the version does not know is left out. */
	size_t operations, object_types;
	uint32_t operation[QUERY_LIST_MAX], object_type[QUERY_TYPES_MAX];
	struct slice vendor_identification; /* empty: absent */
	bool has_server_information;
	struct slice server_name, server_version, server_load, product_name,
		cluster_info; /* 2.x */
	/* further items in wire order (Application Namespace, Extension Information, ... up to
	 * Protection Storage Masks), already of the version; usually empty */
	struct slice more;
};

void query_put_request(struct ttlv_writer *w, const struct query_request *q);
kf_err query_get_request(struct ttlv_reader *r, struct query_request *ret);
void query_put_response(struct ttlv_writer *w, const struct query_response *a);
kf_err query_get_response(struct ttlv_reader *r, struct query_response *ret);

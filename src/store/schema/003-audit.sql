-- SPDX-License-Identifier: Apache-2.0
-- The newest audit checkpoint of each key server, for the others to witness.  A line is signed, so that nobody
-- can invent one; who removes one delays what the others see.

create table audit_head (
	origin text primary key,
	line text not null,
	at bigint not null
);

-- SPDX-License-Identifier: Apache-2.0
-- What Locate asks for is in each key server's memory: nobody reads these.  Empty ones stay, because key
-- servers are upgraded one after the other, and those of before go on writing to them until then.
drop table attribute;
create table attribute (
	object text not null,
	tag bigint not null,
	idx bigint not null,
	item bytea not null,
	search bytea,
	primary key (object, tag, idx)
);

drop table link;
create table link (
	object text not null,
	type bigint not null,
	target text not null,
	primary key (object, type, target)
);

drop table group_;
create table group_ (
	object text not null,
	name text not null,
	primary key (object, name)
);

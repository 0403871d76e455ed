-- SPDX-License-Identifier: Apache-2.0
-- The whole object model.  SQLite and PostgreSQL read the same text.
--
-- object, client and grant_ are what counts: each row is authenticated (mac, under a key made of
-- the master key named beside it), and head holds a keyed sum over all of them.  What follows
-- them is derived from them: an index for people and for Locate, written but never believed.
-- Nothing is ever deleted from the three: a destroyed object and a dropped grant stay as
-- tombstones, so that a removed row is noticed and an id is never used twice.

create table object (
	id text primary key,
	version bigint not null,
	sequence bigint not null,
	created bigint not null,
	master text not null,
	mac bytea not null,
	type bigint not null,
	owner text not null,
	state bigint not null,
	initial_date bigint,
	activation_date bigint,
	process_start_date bigint,
	protect_stop_date bigint,
	deactivation_date bigint,
	destroy_date bigint,
	attrs bytea not null,
	sealed bytea not null
);
create unique index object_sequence on object (sequence);
create unique index object_created on object (created);
create index object_master on object (master);

create table client (
	id text primary key,
	version bigint not null,
	sequence bigint not null,
	created bigint not null,
	master text not null,
	mac bytea not null,
	is_revoked bigint not null,
	certificates bytea not null
);
create unique index client_sequence on client (sequence);

create table grant_ (
	id text primary key,
	version bigint not null,
	sequence bigint not null,
	created bigint not null,
	master text not null,
	mac bytea not null,
	is_dropped bigint not null,
	who text not null,
	target text not null,
	permissions bigint not null,
	constraints bigint not null
);
create unique index grant_sequence on grant_ (sequence);

-- One row: the newest sequence, how many rows there are, their keyed sum.
create table head (
	one bigint primary key,
	incarnation bigint not null,
	sequence bigint not null,
	rows bigint not null,
	sum bytea not null,
	master text not null,
	mac bytea not null
);

-- The master keys in use, each with a value by which the right one is known.
create table master (
	id text primary key,
	check_value bytea not null
);

-- What servers committed last: tells one whose connection broke whether its commit arrived.
create table writer (
	id bytea primary key,
	nonce bytea not null,
	at bigint not null
);

-- Answers by the request ids of clients, so that a repeated request changes nothing.
create table request_id (
	client text not null,
	id bytea not null,
	hash bytea not null,
	answer bytea not null,
	at bigint not null,
	master text not null,
	mac bytea not null,
	primary key (client, id)
);
create index request_id_at on request_id (at);

-- Derived: unique among the living objects of an owner.
create table name (
	owner text not null,
	name text not null,
	object text not null,
	primary key (owner, name)
);
create index name_object on name (object);

-- Derived: every instance of every attribute; search is the value of what is no structure.
create table attribute (
	object text not null,
	tag bigint not null,
	idx bigint not null,
	item bytea not null,
	search bytea,
	primary key (object, tag, idx)
);
create index attribute_search on attribute (tag, search);

-- Derived: Link attributes (type = KMIP Link Type) and Object Group.
create table link (
	object text not null,
	type bigint not null,
	target text not null,
	primary key (object, type, target)
);
create index link_target on link (target);

create table group_ (
	object text not null,
	name text not null,
	primary key (object, name)
);
create index group_name on group_ (name);

-- Derived: whose certificate.
create table client_certificate (
	fingerprint bytea primary key,
	client text not null,
	not_after bigint not null
);
create index client_certificate_client on client_certificate (client);

/* SPDX-License-Identifier: Apache-2.0 */
/* schema3: a store as key servers before schema 4 made it. */
#pragma once

/* Turns back what schema/004-unread.sql did.  An object "a" is there. */
#define SCHEMA_3                                                                         \
	"delete from schema_version where version=4;"                                    \
	"create index attribute_search on attribute (tag, search);"                      \
	"create index link_target on link (target);"                                     \
	"create index group_name on group_ (name);" SCHEMA_3_WRITES

/* What their servers write beside an object. */
#define SCHEMA_3_WRITES                                                                  \
	"delete from attribute where object='a';"                                        \
	"insert into attribute (object,tag,idx,item,search) values "                     \
	"('a',4325463,0,'item','search');"                                               \
	"delete from link where object='a';"                                             \
	"insert into link (object,type,target) values ('a',257,'b') "                    \
	"on conflict do nothing;"                                                        \
	"delete from group_ where object='a';"                                           \
	"insert into group_ (object,name) values ('a','group') "                         \
	"on conflict do nothing;"

/* Has rows while nobody has cleared the tables. */
#define SCHEMA_3_ROWS                                                                    \
	"select object from attribute union all select object from link union all "      \
	"select object from group_"

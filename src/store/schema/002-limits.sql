-- SPDX-License-Identifier: Apache-2.0
-- How much a grant allows.  Null in all rows that were there before, and in those without limits:
-- trailing nulls of a row are not part of what its mac covers (store/record.c).
alter table grant_ add column rate bigint;
alter table grant_ add column burst bigint;
alter table grant_ add column concurrency bigint;

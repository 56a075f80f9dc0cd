/* What each field of the records is called elsewhere, and its unit: one row a field of FlowRecord,
 * DnsRecord, AlertRecord, StatsRecord and PacketSample and of the messages in them. Types and
 * descriptions are in the descriptors. A test fails on a field without a row and on a row without a
 * field. Depends on: base, descriptor_index.h. Static. */
#pragma once

#include <stddef.h>

struct json_field;

struct field_row {
    const char *name;  /* "Counters.delta_bytes": message and field */
    const char *unit;  /* "bytes"; "" = none */
    const char *ipfix; /* name and number of the information element (IANA) */
    const char *ecs;   /* Elastic Common Schema 9 */
    const char *otel;  /* OpenTelemetry semantic conventions */
};

extern const struct field_row field_rows[];
extern const size_t field_rows_count;

/* The records, in the order in which they are shown: names without the package, NULL at the end. */
extern const char *const field_records[];

/* NULL: no such row. */
const struct field_row *field_row_find(const char *name);

/* How many values the field takes, for who makes a label or a group of it: "fine" a few that are
 * known, "careful" as many as the site has (sensors, ports, networks), "avoid" as many as strangers
 * send. "": a figure or a message, no label. `name` as in the rows. */
const char *field_cardinality(const char *name, const struct json_field *field);

/* The names that are fine or careful though their type does not say so; NULL at the end. */
extern const char *const field_names_fine[];
extern const char *const field_names_careful[];

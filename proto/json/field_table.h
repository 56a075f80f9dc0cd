/* What each field of the records is called elsewhere, and its unit: one row a field of FlowRecord,
 * DnsRecord, AlertRecord, StatsRecord and PacketSample and of the messages in them. Types and
 * descriptions are in the descriptors. A test fails on a field without a row and on a row without a
 * field. Depends on: base. Static. */
#pragma once

#include <stddef.h>

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

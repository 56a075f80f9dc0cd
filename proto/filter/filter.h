/* The filter language (AIP-160 shape): one grammar, one tree; back ends: predicate over flow
 * records, SQL for SQLite, and SQL for ClickHouse.
 *
 *   server.port = 443 AND client.ip = "10.0.0.0/8" AND NOT app = dns
 *   tls.sni : "*.example.com" OR tcp.retransmits > 0
 *
 * Operators = != < <= > >= and : (has / glob / contains); AND OR NOT (any case), '-' as NOT,
 * juxtaposition is AND, parentheses, IN (a, b). Bare word or quoted text without a field: matches
 * any address, name, SNI, host or application. Addresses take prefixes; durations "80ms"; bytes
 * "1MiB"; enum values by lower-case name ("established"). `filter_fields` is the list of names with
 * types and help (completion, docs). Bounds: text 4096 bytes, 256 terms, depth 32. Depends on:
 * base, proto. A compiled filter is immutable: any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "proto/record.h"

struct filter;

/* NULL with `err` set and *position (may be NULL) the 0-based column of the fault. An empty text
 * matches all. */
MUST_USE struct filter *filter_compile(const char *text, size_t length, struct error *err,
                                       uint32_t *position);

/* FlowFilter messages (common.proto) as plain C: fields AND, values within a field OR. Borrowed for
 * the call. */
struct filter_spec {
    const char *const *ip, *const *client_ip, *const *server_ip;
    const uint32_t *port, *server_port;
    const char *const *protocol, *const *name, *const *app;
    size_t ip_count, client_ip_count, server_ip_count, port_count, server_port_count;
    size_t protocol_count, name_count, app_count;
};

/* (one of `include`, or there is none) and none of `exclude` and `text` (NULL or empty: all). NULL
 * with `err` set: "include[0].ip[1]: expected ..." or the error of `text`. */
MUST_USE struct filter *filter_build(const struct filter_spec *include, size_t include_count,
                                     const struct filter_spec *exclude, size_t exclude_count,
                                     const char *text, size_t text_length, struct error *err,
                                     uint32_t *position);
void filter_free(struct filter *filter);
DEFINE_AUTO(filter, filter_free);

/* A value that the record does not have (no TCP, no RTT sample) compares false with everything, so
 * that only != and NOT match it. Texts compare without regard to ASCII case; '*' in a value stands
 * for anything. */
bool filter_matches_flow(const struct filter *filter, const struct flow_record *record);
/* False: no labels of its sides would make it match. For records whose labels cost a look-up. */
bool filter_may_match_flow(const struct filter *filter, const struct flow_record *record);
/* Does it ask for labels at all? */
bool filter_wants_labels(const struct filter *filter);

/* False: no record of this sensor can match, whatever else it holds. */
bool filter_admits_sensor(const struct filter *filter, const char *sensor_id);

/* "tcp"; NULL: only its number is a value of "protocol". Static. */
const char *filter_protocol_name(uint8_t number);
/* What "rtt" means: the moving averages of both sides added. False: not measured. */
bool filter_flow_rtt(const struct flow_record *record, uint64_t *rtt_ns);

/* SQL condition (SQLite) over the columns of the flow table of the collector's store:
 *
 *   start_ns end_ns sensor_id flow_id(64 bits, signed) event ip_version protocol client_ip
 * server_ip (BLOB of 4 or 16 bytes) client_port server_port server_name app tcp_state bytes_forward
 *   bytes_reverse packets_forward packets_reverse (deltas of the record) retransmits (both ways)
 *   rtt_ns (filter_flow_rtt) vlan community_id
 *
 * NULL = the record does not have it: tcp_state and retransmits without TCP, rtt_ns, vlan,
 * addresses, and texts that are empty. "?" stands for values, which are handed out in order. Fields
 * that have no column make the condition weaker (true): the caller applies filter_matches_flow to
 * what comes back; *exact tells whether that is needed. False: `capacity` too small. */
struct filter_value {
    enum { FILTER_VALUE_U64, FILTER_VALUE_DOUBLE, FILTER_VALUE_TEXT, FILTER_VALUE_BYTES } type;
    uint64_t u64;
    double number;
    const char *bytes; /* TEXT, BYTES: borrowed from the filter */
    uint32_t length;
};
MUST_USE bool filter_to_sql(const struct filter *filter, char *sql, size_t capacity,
                            struct filter_value *values, uint32_t values_max,
                            uint32_t *values_count, bool *exact);

/* A condition for ClickHouse over the columns of deploy/clickhouse/01_flows.sql, values and all,
 * for which rows may be left out: true for every record that matches, and with it for every record
 * of its flow, by whichever of the sensors that the filter admits. So it asks only for what all of
 * them share (addresses and ports without regard to the direction, protocol, Community ID) and,
 * outside of OR and NOT, for sensors; filter_matches_flow decides. `is_all`: a flow is one of a
 * sensor, and sensor and flow id are asked for too. "1": it says nothing. False: `capacity` too
 * small. */
MUST_USE bool filter_to_clickhouse(const struct filter *filter, bool is_all, char *sql,
                                   size_t capacity);

/* The filter written back in canonical form (for people: how it was understood). Returns the
 * length, 0 = too small. */
size_t filter_to_text(const struct filter *filter, char *out, size_t capacity);

struct filter_field {
    const char *name;   /* "server.port" */
    const char *type;   /* "address", "number", "text", "duration", "bytes", "choice" */
    const char *column; /* column of the store, or NULL */
    const char *help;
};
extern const struct filter_field filter_fields[];
extern const size_t filter_fields_count;

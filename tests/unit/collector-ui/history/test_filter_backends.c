/* One language, three back ends: what the predicate says of a record, SQLite's condition says of
 * its row, exactly where it claims to and never less elsewhere; and the condition for ClickHouse
 * leaves out no record that matches. On filters and records made at random, from the values of each
 * other so that they meet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "collector-ui/history/history_private.h"
#include "collector-ui/history/query_private.h"
#include "tests/support/record_random.h"

#define RECORDS       160
#define FILTERS       700
#define SEED          UINT64_C(20260301)
#define TEXT_BYTES    16384
#define RECORD_BYTES  65536
#define COUNT_MASK    ((UINT64_C(1) << 50) - 1) /* honest counts: sums of them stay below 2^63 */
#define SENSORS_COUNT 3

static const char *const sensors[SENSORS_COUNT] = {"edge-1", "Edge-2", "lab%_1"};

struct place {
    struct record_random random;
    struct day_file *file;
    struct flow_record *flows; /* RECORDS of them */
    uint8_t *encoded[RECORDS];
    size_t lengths[RECORDS];
};

/* ---- records ---- */

static void bound(struct flow_counters *c)
{
    c->delta_packets &= COUNT_MASK;
    c->delta_bytes &= COUNT_MASK;
}

/* What a sensor's record cannot be: counts near 2^64, addresses of another version than the
 * packet's. */
static void make_honest(struct record_random *random, struct flow_record *f)
{
    const char *sensor = sensors[record_random_below(random, SENSORS_COUNT)];

    f->identity.sensor_id = (struct record_text){sensor, (uint32_t)strlen(sensor)};
    f->ip_version = f->client.ip.version;
    if (f->server.ip.version != 0 && f->server.ip.version != f->client.ip.version) {
        f->server.ip = f->client.ip;
    }
    f->server.ip = f->client.ip.version == 0 ? (struct ip_address){0} : f->server.ip;
    if (record_random_below(random, 3) == 0) { /* the last address of a network */
        const unsigned bytes = f->client.ip.version == 4 ? 4 : 16;

        for (unsigned i = 1 + record_random_below(random, bytes - 1); i < bytes; i++) {
            f->client.ip.bytes[i] = f->client.ip.version == 0 ? 0 : 0xff;
        }
    }
    bound(&f->forward);
    bound(&f->reverse);
    f->tcp.forward.retransmitted_segments &= COUNT_MASK;
    f->tcp.reverse.retransmitted_segments &= COUNT_MASK;
    f->start_ns &= COUNT_MASK;
    f->end_ns &= COUNT_MASK;
    if (record_random_below(random, 4) == 0) { /* values that filters name, too */
        f->server.port = 443;
        f->ip_protocol = 6;
        f->app = (struct record_text){"TLS", 3};
        f->vlan_id = 5;
        f->has_vlan = true;
    }
}

static void add_row(struct place *place, uint32_t at)
{
    struct flow_record *f = &place->flows[at];
    struct error err = {0};
    char sensor[32];

    record_random_flow(&place->random, f);
    make_honest(&place->random, f);
    place->encoded[at] = malloc(RECORD_BYTES);
    assert_non_null(place->encoded[at]);
    place->lengths[at] = codec_encode_flow(f, place->encoded[at], RECORD_BYTES);
    assert_true(place->lengths[at] > 0);
    (void)snprintf(sensor, sizeof(sensor), "%s", f->identity.sensor_id.data);
    const struct codec_slice bytes = {place->encoded[at], (uint32_t)place->lengths[at]};
    const struct flow_place row = {.sensor_id = sensor, .boot_no = 1, .seq = at + 1U};

    flow_rows_add(place->file->rows, f, &bytes, &row);
    assert_int_equal(day_file_put_rows(place->file, &err), 0);
}

/* ---- filters ---- */

struct text {
    char bytes[TEXT_BYTES];
    size_t length;
};

static void put(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct text *t, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    const int length =
        vsnprintf(t->bytes + t->length, sizeof(t->bytes) - t->length, format, arguments);

    va_end(arguments);
    assert_true(length >= 0 && t->length + (size_t)length < sizeof(t->bytes));
    t->length += (size_t)length;
}

static struct flow_record *any_flow(struct place *place)
{
    return &place->flows[record_random_below(&place->random, RECORDS)];
}

/* In quotes, at times with another case, cut, or with a '*' in it. */
static void put_quoted(struct place *place, struct text *t, const char *data, size_t length)
{
    struct record_random *random = &place->random;
    const uint32_t form = record_random_below(random, 6);
    size_t from = form == 1 && length > 0 ? record_random_below(random, (uint32_t)length) : 0;
    size_t to = length > 24 ? 24 : length;

    while (from < to && ((uint8_t)data[from] & 0xc0) == 0x80) {
        from++;
    }
    while (to > from && to < length && ((uint8_t)data[to] & 0xc0) == 0x80) {
        to--;
    }
    put(t, "\"%s", form == 2 ? "*" : "");
    for (size_t i = from; i < to; i++) {
        const char c = data[i];

        put(t, "%s%c", c == '"' || c == '\\' ? "\\" : "",
            form == 3 && c >= 'a' && c <= 'z' ? c - 32 : c);
    }
    put(t, "%s\"", form == 4 || to < length ? "*" : "");
}

static void put_text_value(struct place *place, struct text *t)
{
    const struct flow_record *f = any_flow(place);
    const struct record_text texts[] = {f->app,         f->server.name,       f->client.name,
                                        f->tls.sni,     f->interface,         f->community_id,
                                        f->tls.version, f->identity.sensor_id};
    static const char *const others[] = {"tls", "%",         "_", "edge-*",
                                         "",    "ex\\ample", "*", "EXAMPLE"};

    if (record_random_below(&place->random, 3) == 0) {
        const char *other = others[record_random_below(&place->random, ARRAY_COUNT(others))];

        put_quoted(place, t, other, strlen(other));
        return;
    }
    const struct record_text text = texts[record_random_below(&place->random, ARRAY_COUNT(texts))];

    put_quoted(place, t, text.length == 0 ? "" : text.data, text.length);
}

static void put_address(struct place *place, struct text *t)
{
    const struct flow_record *f = any_flow(place);
    struct ip_address address =
        record_random_below(&place->random, 2) == 0 ? f->client.ip : f->server.ip;
    char shown[ADDRESS_TEXT_BYTES];

    if (address.version == 0) {
        address = (struct ip_address){.version = 4, .bytes = {10, 0, 0, 1}};
    }
    const unsigned bits = address.version == 4 ? 32 : 128;
    const uint32_t form = record_random_below(&place->random, 3);
    const unsigned kept = form == 0   ? bits
                          : form == 1 ? record_random_below(&place->random, bits)
                                      : 8 * record_random_below(&place->random, bits / 8);

    for (unsigned i = kept; i < bits; i++) {
        address.bytes[i / 8] &= (uint8_t) ~(0x80U >> (i % 8));
    }
    (void)address_text(&address, shown);
    put(t, "\"%s", shown);
    if (kept < bits) {
        put(t, "/%u", kept);
    }
    put(t, "\"");
}

static const char *order_of(struct place *place)
{
    static const char *const operators[] = {"=", "!=", "<", "<=", ">", ">="};

    return operators[record_random_below(&place->random, ARRAY_COUNT(operators))];
}

/* One that a record has, or beside it. */
static void put_number(struct place *place, struct text *t, const char *field, uint64_t value)
{
    const uint32_t form = record_random_below(&place->random, 8);

    put(t, "%s %s %" PRIu64, field, order_of(place),
        form == 0                ? UINT64_MAX
        : form == 1 && value > 0 ? value - 1
        : form == 2              ? value + 1
                                 : value);
}

static void put_counted(struct place *place, struct text *t)
{
    const struct flow_record *f = any_flow(place);
    uint64_t rtt_ns = 0;

    (void)filter_flow_rtt(f, &rtt_ns);
    switch (record_random_below(&place->random, 14)) {
    case 0:
        put(t, "duration %s %" PRIu64 "ns", order_of(place),
            f->end_ns > f->start_ns ? f->end_ns - f->start_ns : 0);
        break;
    case 1:
        put(t, "rtt %s %" PRIu64 "ns", order_of(place), rtt_ns);
        break;
    case 2:
        put_number(place, t, "bytes", f->forward.delta_bytes + f->reverse.delta_bytes);
        break;
    case 3:
        put_number(place, t, "packets", f->forward.delta_packets + f->reverse.delta_packets);
        break;
    case 4:
        put_number(place, t, "total_bytes", f->forward.total_bytes + f->reverse.total_bytes);
        break;
    case 5:
        put_number(place, t, "tcp.retransmits",
                   f->tcp.forward.retransmitted_segments + f->tcp.reverse.retransmitted_segments);
        break;
    case 6:
        put(t, "vlan %s %u", order_of(place), f->vlan_id);
        break;
    case 7:
        put(t, "ip.version %s %u", order_of(place), f->ip_version);
        break;
    case 8:
        put(t, "risk_score %s %u", order_of(place), f->risk_score);
        break;
    case 9:
        put_number(place, t, "missed_bytes", f->forward.missed_bytes + f->reverse.missed_bytes);
        break;
    case 10:
        put(t, "dscp %s %u", order_of(place), f->forward.dscp);
        break;
    case 11:
        put(t, "tunnel.id %s %" PRIu64, order_of(place), f->tunnels[0].id);
        break;
    default:
        put(t, "%s %s %u", (const char *[]){"port", "client.port", "server.port"}[f->flow_id % 3],
            order_of(place),
            record_random_below(&place->random, 2) == 0 ? f->client.port : f->server.port);
        break;
    }
}

static void put_choice(struct place *place, struct text *t)
{
    static const char *const terms[] = {
        "protocol = tcp",       "protocol != 17",      "protocol IN (udp, tcp, 132)",
        "event = end",          "event != update",     "tcp.state = established",
        "tcp.state != reset",   "end_reason = idle",   "scope = internal",
        "scope != external",    "labels.site : \"*\"", "client.labels.country != \"x\"",
        "flag = midstream",     "flag != gap_before",  "dns.rcode = nxdomain",
        "dns.rcode != noerror", "tunnel.type = gre",   "tunnel.type != vxlan",
        "app != dns",           "sensor = \"edge-1\"", "sensor != \"EDGE-2\"",
        "sensor : \"lab%\"",    "sensor : \"edge-*\"", "server.port IN (443, 80)"};

    put(t, "%s", terms[record_random_below(&place->random, ARRAY_COUNT(terms))]);
}

static void put_term(struct place *place, struct text *t)
{
    static const char *const texts[] = {
        "app",         "name",           "client.name", "server.name",  "tls.sni",
        "tls.version", "http.host",      "dns.name",    "community_id", "sensor",
        "interface",   "tcp.conn_state", "labels.site", "alert_id",     "tls.ja4",
        "mac",         "http.path",      "tls.alpn",    "ssh.hassh"};
    static const char *const text_operators[] = {"=", "!=", ":"};
    static const char *const addresses[] = {"ip", "client.ip", "server.ip"};

    switch (record_random_below(&place->random, 6)) {
    case 0:
        put(t, "%s %s ", texts[record_random_below(&place->random, ARRAY_COUNT(texts))],
            text_operators[record_random_below(&place->random, 3)]);
        put_text_value(place, t);
        break;
    case 1:
        put(t, "%s %s ", addresses[record_random_below(&place->random, 3)],
            text_operators[record_random_below(&place->random, 3)]);
        put_address(place, t);
        break;
    case 2:
        put_counted(place, t);
        break;
    case 3:
        put(t, "flow_id %s %016" PRIx64,
            record_random_below(&place->random, 2) == 0 ? "=" : "!=", any_flow(place)->flow_id);
        break;
    case 4: /* a bare word */
        if (record_random_below(&place->random, 2) == 0) {
            put_address(place, t);
        } else {
            put(t, "tls");
        }
        break;
    default:
        put_choice(place, t);
        break;
    }
}

static void put_expression(struct place *place, struct text *t, unsigned depth)
{
    static const char *const joints[] = {" AND ", " OR ", " "};

    if (depth == 0 || record_random_below(&place->random, 3) == 0) {
        put_term(place, t);
        return;
    }
    const uint32_t form = record_random_below(&place->random, 5);

    put(t, "%s(", form == 0 ? "NOT " : form == 1 ? "-" : "");
    put_expression(place, t, depth - 1);
    if (form > 1) {
        put(t, "%s", joints[record_random_below(&place->random, 3)]);
        put_expression(place, t, depth - 1);
    }
    put(t, ")");
}

/* ---- the same question to each ---- */

/* ClickHouse's functions for addresses, which are 16 bytes in the view. */
static void same(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    sqlite3_result_value(context, values[0]);
}

static void unhex(sqlite3_context *context, int count, sqlite3_value **values)
{
    const char *digits = (const char *)sqlite3_value_text(values[0]);
    const size_t length = strlen(digits) / 2;
    uint8_t *out = malloc(length + 1);

    (void)count;
    assert_non_null(out);
    for (size_t i = 0; i < length; i++) {
        unsigned byte;

        assert_int_equal(sscanf(digits + 2 * i, "%2x", &byte), 1);
        out[i] = (uint8_t)byte;
    }
    sqlite3_result_blob(context, out, (int)length, free);
}

static void mapped(sqlite3_context *context, int count, sqlite3_value **values)
{
    uint8_t out[16] = {[10] = 0xff, [11] = 0xff};
    const int length = sqlite3_value_bytes(values[0]);

    (void)count;
    if (length == 4) {
        memcpy(out + 12, sqlite3_value_blob(values[0]), 4);
    } else if (length == 16) {
        memcpy(out, sqlite3_value_blob(values[0]), 16);
    } else {
        memset(out, 0, sizeof(out)); /* none is :: */
    }
    sqlite3_result_blob(context, out, sizeof(out), SQLITE_TRANSIENT);
}

static void add_clickhouse(sqlite3 *db)
{
    const int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC;

    assert_int_equal(sqlite3_create_function(db, "unhex", 1, flags, NULL, unhex, NULL, NULL), 0);
    assert_int_equal(sqlite3_create_function(db, "mapped", 1, flags, NULL, mapped, NULL, NULL), 0);
    assert_int_equal(sqlite3_create_function(db, "toFixedString", 2, flags, NULL, same, NULL, NULL),
                     0);
    assert_int_equal(
        sqlite3_create_function(db, "IPv6NumToString", 1, flags, NULL, same, NULL, NULL), 0);
    assert_int_equal(sqlite3_create_function(db, "toIPv6", 1, flags, NULL, same, NULL, NULL), 0);
    assert_int_equal(
        sqlite3_exec(db,
                     "CREATE TEMP VIEW clickhouse AS SELECT seq, mapped(client_ip) AS client_ip,"
                     " mapped(server_ip) AS server_ip, client_port, server_port, protocol AS "
                     "ip_protocol, coalesce(community_id, '') AS community_id, sensor_id,"
                     " flow_id FROM flows",
                     NULL, NULL, NULL),
        SQLITE_OK);
}

struct tally {
    uint32_t exact, weaker, matched, passed_over;
};

static void ask_sqlite(struct place *place, const char *text, const struct filter *filter,
                       struct tally *tally)
{
    struct query_condition condition;
    sqlite3_stmt *rows = NULL;

    assert_int_equal(query_condition_make(&condition, filter), 0);
    char *sql = sqlite3_mprintf("SELECT seq, (%s), record FROM flows ORDER BY seq", condition.sql);

    assert_int_equal(sqlite3_prepare_v2(place->file->db, sql, -1, &rows, NULL), SQLITE_OK);
    query_condition_bind(&condition, rows);
    for (uint32_t i = 0; i < RECORDS; i++) {
        const bool wanted = filter_matches_flow(filter, &place->flows[i]);

        assert_int_equal(sqlite3_step(rows), SQLITE_ROW);
        const bool is_chosen = sqlite3_column_int(rows, 1) != 0;

        if (sqlite3_column_type(rows, 1) == SQLITE_NULL ||
            (condition.is_exact ? is_chosen != wanted : wanted && !is_chosen)) {
            fail_msg("%s\nrecord %u: the predicate says %d, SQLite %d (%s)\n%s", text, i, wanted,
                     is_chosen, condition.is_exact ? "exact" : "weaker", condition.sql);
        }
        tally->matched += wanted;
        tally->passed_over += !wanted;
    }
    assert_int_equal(sqlite3_step(rows), SQLITE_DONE);
    tally->exact += condition.is_exact;
    tally->weaker += !condition.is_exact;
    sqlite3_finalize(rows);
    sqlite3_free(sql);
    query_condition_fini(&condition);
}

/* Ids of flows are unsigned there, and signed in SQLite. */
static void sign_flow_ids(const char *condition, struct text *out)
{
    static const char before[] = "flow_id = ";
    const char *at;

    while ((at = strstr(condition, before)) != NULL) {
        char *end;
        const uint64_t id = strtoull(at + strlen(before), &end, 10);

        put(out, "%.*s%s%" PRId64, (int)(at - condition), condition, before, (int64_t)id);
        condition = end;
    }
    put(out, "%s", condition);
}

static void ask_clickhouse(struct place *place, const char *text, const struct filter *filter,
                           bool is_all)
{
    struct text signed_text = {0};
    char condition[TEXT_BYTES];
    sqlite3_stmt *rows = NULL;

    assert_true(filter_to_clickhouse(filter, is_all, condition, sizeof(condition)));
    sign_flow_ids(condition, &signed_text);
    char *sql = sqlite3_mprintf("SELECT (%s) FROM clickhouse ORDER BY seq", signed_text.bytes);

    assert_int_equal(sqlite3_prepare_v2(place->file->db, sql, -1, &rows, NULL), SQLITE_OK);
    for (uint32_t i = 0; i < RECORDS; i++) {
        assert_int_equal(sqlite3_step(rows), SQLITE_ROW);
        if (filter_matches_flow(filter, &place->flows[i]) && sqlite3_column_int(rows, 0) == 0) {
            fail_msg("%s\nrecord %u matches, and ClickHouse would leave it out\n%s", text, i,
                     condition);
        }
    }
    sqlite3_finalize(rows);
    sqlite3_free(sql);
}

static void all_back_ends_choose_the_same_records(void **state)
{
    struct place place = {.random = record_random_from(SEED)};
    struct error err = {0};
    struct tally tally = {0};

    (void)state;
    place.file = day_file_open(":memory:", 1, &err);
    assert_non_null(place.file);
    place.flows = calloc(RECORDS, sizeof(*place.flows));
    assert_non_null(place.flows);
    for (uint32_t i = 0; i < RECORDS; i++) {
        add_row(&place, i);
    }
    add_clickhouse(place.file->db);
    for (unsigned i = 0; i < FILTERS; i++) {
        struct text text = {0};
        uint32_t position = 0;

        put_expression(&place, &text, record_random_below(&place.random, 4));
        AUTO(filter) filter = filter_compile(text.bytes, text.length, &err, &position);

        if (filter == NULL) {
            fail_msg("%s\n%u: %s", text.bytes, position, err.message);
        }
        ask_sqlite(&place, text.bytes, filter, &tally);
        ask_clickhouse(&place, text.bytes, filter, false);
        ask_clickhouse(&place, text.bytes, filter, true);
    }
    print_message("exact %u, weaker %u; of records %u matched, %u did not\n", tally.exact,
                  tally.weaker, tally.matched, tally.passed_over);
    /* Else nothing was compared. */
    assert_true(tally.exact > FILTERS / 4 && tally.weaker > FILTERS / 10);
    assert_true(tally.matched > FILTERS * RECORDS / 20);
    assert_true(tally.passed_over > FILTERS * RECORDS / 20);
    for (uint32_t i = 0; i < RECORDS; i++) {
        free(place.encoded[i]);
    }
    free(place.flows);
    day_file_free(place.file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_back_ends_choose_the_same_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

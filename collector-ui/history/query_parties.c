/* Hosts that take part in flows, and services that are asked for: sums, peers, names, times. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ascii.h"
#include "collector-ui/history/group_key.h"
#include "collector-ui/history/group_table.h"
#include "collector-ui/history/number_set.h"
#include "collector-ui/history/record_share.h"

#define KEY_BYTES  64u /* in the mean */
#define NAME_BYTES 64u

enum { KEY_CLIENT, KEY_SERVER, KEY_NAME, KEY_PORT, KEY_PROTOCOL, KEY_APP, KEY_COUNT };

static const enum history_dimension dimensions[KEY_COUNT] = {
    [KEY_CLIENT] = DIMENSION_CLIENT,     [KEY_SERVER] = DIMENSION_SERVER,
    [KEY_NAME] = DIMENSION_SERVER_NAME,  [KEY_PORT] = DIMENSION_SERVER_PORT,
    [KEY_PROTOCOL] = DIMENSION_PROTOCOL, [KEY_APP] = DIMENSION_APPLICATION,
};

struct party {
    struct history_sums sums;
    uint64_t flows, served, peers, first_ns, last_ns;
    uint64_t name_ns; /* when it was called that */
    uint32_t name;    /* GROUP_NONE: nothing yet */
};

struct party_scan {
    struct history_reader *reader;
    const struct history_parties_query *query;
    struct query_condition condition;
    struct query_merge *merge;
    struct flow_record *record; /* scratch */
    struct group_table table, names;
    struct party *parties; /* by the table's number */
    uint32_t count, room;
    struct number_set seen; /* flows and peers of parties */
    bool is_full, is_counting_full;
    struct history_sums whole;
    uint64_t matched;
};

/* One record, as far as it lies in the range. */
struct part {
    struct history_sums sums; /* forward: from the client */
    uint64_t first_ns, last_ns, end_ns, flow;
    char values[KEY_COUNT][HISTORY_VALUE_BYTES];
};

/* NULL: no room for one more. */
static struct party *party_of(struct party_scan *scan, const char *key, size_t length)
{
    const uint32_t number = group_table_find(&scan->table, key, length);

    if (number == scan->room) {
        const uint32_t room = scan->room == 0 ? 256 : scan->room * 2;
        struct party *const parties = realloc(scan->parties, room * sizeof(*parties));

        if (parties == NULL) {
            scan->is_full = true;
            return NULL;
        }
        scan->parties = parties;
        scan->room = room;
    }
    if (number == GROUP_NONE || number > scan->count) {
        scan->is_full = true;
        return NULL;
    }
    if (number == scan->count) {
        scan->count++;
        scan->parties[number] = (struct party){.first_ns = UINT64_MAX, .name = GROUP_NONE};
    }
    return &scan->parties[number];
}

static void count(struct party_scan *scan, const struct party *party, uint64_t what, uint64_t *to)
{
    const uint64_t number = (uint64_t)(party - scan->parties);

    *to += number_set_add(&scan->seen, hash_mix(what + number), &scan->is_counting_full);
}

static void add_name(struct party_scan *scan, struct party *party, const struct part *part)
{
    const char *const name = part->values[KEY_NAME];

    if (name[0] != '\0' && part->end_ns >= party->name_ns) {
        const uint32_t number = group_table_find(&scan->names, name, strlen(name) + 1);

        party->name = number != GROUP_NONE ? number : party->name;
        party->name_ns = part->end_ns;
    }
}

static void add_part(struct party_scan *scan, struct party *party, const struct part *part,
                     bool is_server)
{
    struct history_sums sums = part->sums;
    const char *const peer = part->values[is_server ? KEY_CLIENT : KEY_SERVER];
    enum { PEER_SALT = 0x70656572 };

    if (is_server) {
        sums.bytes_forward = part->sums.bytes_reverse;
        sums.bytes_reverse = part->sums.bytes_forward;
        add_name(scan, party, part);
    }
    history_sums_add(&party->sums, &sums);
    count(scan, party, hash_mix(part->flow), is_server ? &party->served : &party->flows);
    count(scan, party, hash_mix(query_text_hash(peer) ^ PEER_SALT), &party->peers);
    party->first_ns = part->first_ns < party->first_ns ? part->first_ns : party->first_ns;
    party->last_ns = part->last_ns > party->last_ns ? part->last_ns : party->last_ns;
}

static void add_host(struct party_scan *scan, const struct part *part, bool is_server)
{
    const char *const address = part->values[is_server ? KEY_SERVER : KEY_CLIENT];
    struct party *const party = party_of(scan, address, strlen(address) + 1);

    if (party != NULL) {
        add_part(scan, party, part, is_server);
    }
}

static void add_service(struct party_scan *scan, const struct part *part)
{
    static const unsigned parts[] = {KEY_SERVER, KEY_PORT, KEY_PROTOCOL, KEY_APP};
    char key[ARRAY_COUNT(parts) * HISTORY_VALUE_BYTES];
    size_t length = 0;

    for (unsigned i = 0; i < ARRAY_COUNT(parts); i++) {
        const size_t bytes = strlen(part->values[parts[i]]) + 1;

        memcpy(key + length, part->values[parts[i]], bytes);
        length += bytes;
    }
    struct party *const party = party_of(scan, key, length);

    if (party != NULL) {
        add_part(scan, party, part, true);
    }
}

static void read_part(struct party_scan *scan, sqlite3_stmt *rows, struct part *part)
{
    const uint64_t from_ns = scan->query->from_ns, to_ns = scan->query->to_ns;
    const char *const sensor = (const char *)sqlite3_column_text(rows, SHARE_SENSOR);
    struct record_share share;

    record_share_read(rows, &share);
    part->sums = (struct history_sums){0};
    record_share_add(&share, from_ns, to_ns, &part->sums);
    part->sums.new_flows = record_share_begins(&share, from_ns, to_ns);
    if (share.end_ns < to_ns) {
        part->sums.records = 1;
        record_share_add_quality(rows, scan->record, &part->sums);
    }
    part->end_ns = share.end_ns;
    part->first_ns = share.span_ns > from_ns ? share.span_ns : from_ns;
    part->last_ns = share.end_ns < to_ns ? share.end_ns : to_ns;
    part->flow = (uint64_t)sqlite3_column_int64(rows, SHARE_FLOW) ^
                 query_text_hash(sensor == NULL ? "" : sensor);
    for (int i = 0; i < KEY_COUNT; i++) {
        (void)group_key_text(rows, SHARE_KEYS + i, dimensions[i], "", NULL, part->values[i]);
    }
}

static void add_row(void *context, sqlite3_stmt *rows)
{
    struct party_scan *const scan = context;
    struct part part;

    read_part(scan, rows, &part);
    history_sums_add(&scan->whole, &part.sums);
    scan->matched += part.sums.records;
    if (scan->query->is_services) {
        add_service(scan, &part);
        return;
    }
    if (strcmp(part.values[KEY_CLIENT], part.values[KEY_SERVER]) == 0) { /* it has sent it all */
        part.sums.bytes_forward += part.sums.bytes_reverse;
        part.sums.bytes_reverse = part.sums.bytes_forward;
        add_host(scan, &part, true);
        return;
    }
    add_host(scan, &part, true);
    add_host(scan, &part, false);
}

static int scan_file(void *context, sqlite3 *db, uint32_t file)
{
    struct party_scan *const scan = context;
    const struct record_walk walk = {.reader = scan->reader,
                                     .condition = &scan->condition,
                                     .merge = scan->merge,
                                     .by = dimensions,
                                     .by_count = KEY_COUNT,
                                     .wants_quality = true,
                                     .from_ns = scan->query->from_ns,
                                     .to_ns = scan->query->to_ns};

    (void)file;
    record_share_walk(&walk, db, add_row, scan);
    return 0;
}

/* ---- the answer ---- */

static const char *next_value(const char *key)
{
    return key + strlen(key) + 1;
}

static struct history_party make(const struct party_scan *scan, uint32_t number)
{
    const struct party *const party = &scan->parties[number];
    size_t length;
    struct history_party made = {.address = group_table_key(&scan->table, number, &length),
                                 .port = "",
                                 .protocol = "",
                                 .app = "",
                                 .name = party->name == GROUP_NONE
                                             ? ""
                                             : group_table_key(&scan->names, party->name, &length),
                                 .sums = party->sums,
                                 .flows = party->flows + party->served,
                                 .served = party->served,
                                 .peers = party->peers,
                                 .first_ns = party->first_ns,
                                 .last_ns = party->last_ns};

    if (scan->query->is_services) {
        made.port = next_value(made.address);
        made.protocol = next_value(made.port);
        made.app = next_value(made.protocol);
    }
    return made;
}

static bool has_text(const char *in, const char *text)
{
    const size_t length = strlen(text);

    for (; *in != '\0'; in++) {
        size_t i = 0;

        while (i < length && ascii_lower(in[i]) == ascii_lower(text[i])) {
            i++;
        }
        if (i == length) {
            return true;
        }
    }
    return length == 0;
}

static bool is_found(const struct history_party *party, const char *search)
{
    return search[0] == '\0' || has_text(party->address, search) || has_text(party->name, search) ||
           has_text(party->app, search) || strcmp(party->port, search) == 0;
}

/* Below 0: there is none. */
static double ratio(uint64_t part, uint64_t whole)
{
    return whole == 0 ? -1 : (double)part / (double)whole;
}

static double measure(const struct history_party *party, enum history_party_order order)
{
    const struct history_sums *const sums = &party->sums;

    switch (order) {
    case PARTY_SENT:
        return (double)sums->bytes_forward;
    case PARTY_RECEIVED:
        return (double)sums->bytes_reverse;
    case PARTY_FLOWS:
        return (double)party->flows;
    case PARTY_PEERS:
        return (double)party->peers;
    case PARTY_FIRST:
        return (double)party->first_ns;
    case PARTY_LAST:
        return (double)party->last_ns;
    case PARTY_RTT:
        return ratio(sums->rtt_sum_ns, sums->rtt_count);
    case PARTY_RETRANSMITS:
        return ratio(sums->retransmits, sums->tcp_packets);
    case PARTY_FAILURES:
        return ratio(sums->failed, sums->ended);
    default:
        return (double)sums->bytes_forward + (double)sums->bytes_reverse;
    }
}

/* What has no measure is last either way; equal ones by bytes, then as they are called. */
static int by_measure(const void *a, const void *b, void *context)
{
    const struct history_parties_query *const query = context;
    const struct history_party *const x = a;
    const struct history_party *const y = b;
    const double p = measure(x, query->order), q = measure(y, query->order);

    if (p != q) {
        return (p < 0) != (q < 0) ? (p < 0 ? 1 : -1) : (p > q) == query->is_ascending ? 1 : -1;
    }
    const double m = measure(x, PARTY_BYTES), n = measure(y, PARTY_BYTES);

    if (m != n) {
        return m > n ? -1 : 1;
    }
    const int order = strcmp(x->address, y->address);

    return order != 0 ? order : x->address < y->address ? -1 : 1; /* as they were met */
}

static int hand_out(struct party_scan *scan, struct history_parties *out)
{
    const struct history_parties_query *const query = scan->query;

    out->rows = calloc((size_t)scan->count + 1, sizeof(*out->rows));
    if (out->rows == NULL) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < scan->count; i++) {
        const struct history_party party = make(scan, i);

        if (query->self[0] != '\0' && strcmp(party.address, query->self) == 0) {
            out->self = &out->rows[scan->count]; /* behind all others */
            *out->self = party;
        } else if (is_found(&party, query->search)) {
            out->rows[out->found++] = party;
        }
    }
    if (out->found > 0) {
        qsort_r(out->rows, out->found, sizeof(*out->rows), by_measure, (void *)query);
    }
    out->count = out->found < query->limit ? out->found : query->limit;
    out->groups = scan->count;
    out->groups_max = scan->table.max;
    out->is_full = scan->is_full;
    out->is_counting_full = scan->is_counting_full;
    scan->reader->cost.is_full |= scan->is_full || scan->is_counting_full;
    out->whole = scan->whole;
    out->matched = scan->matched;
    out->keys = scan->table.bytes; /* the rows point into them */
    out->names = scan->names.bytes;
    scan->table.bytes = scan->names.bytes = NULL;
    return 0;
}

static int prepare(struct party_scan *scan)
{
    const uint32_t max = scan->reader->history->settings.query_groups;
    const bool has_table = group_table_init(&scan->table, max, (size_t)max * KEY_BYTES);
    const bool has_names = group_table_init(&scan->names, max, (size_t)max * NAME_BYTES);

    scan->record = calloc(1, sizeof(*scan->record));
    return has_table && has_names && scan->record != NULL ? 0 : -ENOMEM;
}

int history_query_parties(struct history_reader *reader, const struct history_parties_query *query,
                          struct history_parties *out)
{
    struct party_scan scan = {.reader = reader, .query = query};

    memset(out, 0, sizeof(*out));
    int result = query_condition_make(&scan.condition, query->filter);
    const int prepared = prepare(&scan);

    result = result != 0 ? result : prepared;
    if (result == 0) {
        result = query_past(reader, query->from_ns, query->to_ns, query->filter, query->is_all);
    }
    if (result == 0) {
        result = record_share_merge(reader, query->filter, query->from_ns, query->to_ns,
                                    query->is_all, &scan.merge);
    }
    if (result == 0) {
        result = query_files(reader, query->from_ns, query->to_ns, false, scan_file, &scan);
    }
    if (result == 0) {
        result = hand_out(&scan, out);
    }
    query_condition_fini(&scan.condition);
    query_merge_free(scan.merge);
    group_table_fini(&scan.table);
    group_table_fini(&scan.names);
    number_set_fini(&scan.seen);
    free(scan.record);
    free(scan.parties);
    return result;
}

void history_parties_fini(struct history_parties *parties)
{
    free(parties->rows);
    free(parties->keys);
    free(parties->names);
    *parties = (struct history_parties){0};
}

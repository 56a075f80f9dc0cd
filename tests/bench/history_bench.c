/* What questions to the collector's history cost: a day of records of two sensors that both see
 * each flow, asked for the whole day, its last hour and an hour in its middle. The best of three
 * rounds, CPU of the query thread that answers.
 *
 *     history_bench [RECORDS (400000)] [DIRECTORY (a new one below /tmp, removed)] */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "collector-ui/history/query.h"
#include "proto/codec.h"
#include "tests/bench/turns.h"
#include "tests/support/record_random.h"

#define DAY_NS        (86400 * NS_PER_SEC)
#define BEGIN_NS      (UINT64_C(1772323200) * NS_PER_SEC) /* 2026-03-01T00:00:00Z */
#define BATCH_RECORDS 500U
#define RECORD_ROOM   1024U
#define ROUNDS        3
#define FLOW_RECORDS  4U /* of two sensors an UPDATE and an END each */

struct bench {
    struct history *history;
    struct flow_record flow;
    uint64_t position, offered, next_seq[2];
    uint8_t bytes[BATCH_RECORDS * RECORD_ROOM];
    uint8_t message[BATCH_RECORDS * RECORD_ROOM + 4096];
    struct codec_slice slices[BATCH_RECORDS];
};

/* ---- records ---- */

static void vary(struct flow_record *flow, uint64_t number, uint64_t end_ns, bool is_end)
{
    static const char *const apps[] = {"tls", "dns", "http", "ssh", "quic", "ntp", "smb", "mqtt"};
    static char community[48], name[48];
    const uint64_t random = hash_mix(number + 1);
    const char *const app = apps[random % 8];

    record_typical_flow(flow);
    (void)snprintf(community, sizeof community, "1:%016llx%010llx=", (unsigned long long)random,
                   (unsigned long long)number);
    (void)snprintf(name, sizeof name, "host-%llu.example.com", (unsigned long long)(random % 500));
    flow->flow_id = random;
    flow->community_id = (struct record_text){community, (uint32_t)strlen(community)};
    flow->app = (struct record_text){app, (uint32_t)strlen(app)};
    flow->server.name = (struct record_text){name, (uint32_t)strlen(name)};
    flow->server.port = (uint16_t)(random % 8 == 0 ? 443 : 1000 + random % 8);
    memcpy(flow->client.ip.bytes + 1, &(uint16_t){(uint16_t)(random >> 8 & 4095)}, 2);
    memcpy(flow->server.ip.bytes + 2, &(uint16_t){(uint16_t)(random % 500)}, 2);
    flow->event = is_end ? FLOW_END : FLOW_UPDATE;
    flow->start_ns = end_ns - (is_end ? 10 : 5) * NS_PER_SEC;
    flow->delta_start_ns = end_ns - 5 * NS_PER_SEC;
    flow->end_ns = end_ns;
}

/* -1: told. */
static int offer(struct bench *bench, unsigned sensor, uint32_t count)
{
    static const char *const ids[] = {"edge-1", "edge-2"};
    struct codec_batch batch = {
        .stream = RECORD_FLOWS, .first_seq = bench->next_seq[sensor] + 1, .record_count = count};
    struct history_batch offered = {.sensor_id = {ids[sensor], 6},
                                    .stream = RECORD_FLOWS,
                                    .first_seq = batch.first_seq,
                                    .record_count = count,
                                    .receive_ns = BEGIN_NS + DAY_NS - 1,
                                    .log_position = ++bench->position};

    memset(batch.boot_id, 'a' + (int)sensor, 32);
    const size_t length =
        codec_encode_batch(&batch, bench->slices, bench->message, sizeof bench->message);
    size_t at = 1; /* behind the tag and length of ConnectRequest.batch */

    while (bench->message[at] >= 0x80) {
        at++;
    }
    memcpy(offered.boot_id, batch.boot_id, sizeof offered.boot_id);
    offered.message = bench->message + at + 1;
    offered.length = (uint32_t)(length - at - 1);
    bench->next_seq[sensor] += count;
    bench->offered += count;
    if (length == 0 || !history_offer(bench->history, &offered)) {
        (void)fprintf(stderr, "history_bench: the store takes nothing: %s\n",
                      history_failure(bench->history));
        return -1;
    }
    return 0;
}

static int fill(struct bench *bench, uint64_t records)
{
    const uint64_t per_sensor = records / 2;

    for (uint64_t first = 0; first < per_sensor; first += BATCH_RECORDS) {
        for (unsigned sensor = 0; sensor < 2; sensor++) {
            for (uint32_t i = 0; i < BATCH_RECORDS; i++) {
                const uint64_t at = first + i;
                const uint64_t end_ns = BEGIN_NS + (uint64_t)((double)DAY_NS * (double)(at + 1) /
                                                              (double)(per_sensor + 500));

                vary(&bench->flow, at / 2, end_ns, at % 2 == 1);
                bench->slices[i].bytes = bench->bytes + (size_t)i * RECORD_ROOM;
                bench->slices[i].length = (uint32_t)codec_encode_flow(
                    &bench->flow, bench->bytes + (size_t)i * RECORD_ROOM, RECORD_ROOM);
            }
            if (offer(bench, sensor, BATCH_RECORDS) != 0) {
                return -1;
            }
        }
    }
    struct history_counts counts;

    do {
        (void)usleep(20000);
        history_counts_read(bench->history, &counts);
    } while (counts.records_in < bench->offered && history_failure(bench->history) == NULL);
    return 0;
}

/* ---- questions ---- */

enum kind {
    FLOWS,
    FLOWS_BY_BYTES,
    RECORDS,
    BY_APPLICATION,
    BY_MINUTE,
    MAP,
    HOSTS,
    SERVICES,
    TOP_CLIENTS,
    KINDS
};
static const char *const names[KINDS] = {"flows, newest",
                                         "flows, largest",
                                         "records, a page",
                                         "by application",
                                         "by application and minute",
                                         "map",
                                         "hosts",
                                         "services",
                                         "top clients"};

struct question {
    enum kind kind;
    uint64_t from_ns, to_ns;
    bool is_all;
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool is_done;
    int result;
    uint64_t took_ns, scanned;
};

static int ask_flows(struct history_reader *reader, const struct question *q)
{
    struct history_flows flows;
    const struct history_flows_query query = {.from_ns = q->from_ns,
                                              .to_ns = q->to_ns,
                                              .order =
                                                  q->kind == FLOWS ? ORDER_END_TIME : ORDER_BYTES,
                                              .page_size = 100,
                                              .wants_facets = true,
                                              .is_all = q->is_all};
    const int result = history_query_flows(reader, &query, &flows);

    history_flows_fini(&flows);
    return result;
}

static int ask_records(struct history_reader *reader, const struct question *q)
{
    struct history_record_page page;
    const struct history_record_query query = {
        .from_ns = q->from_ns, .to_ns = q->to_ns, .page_size = 100, .is_all = q->is_all};
    const int result = history_query_record_page(reader, &query, &page);

    history_record_page_fini(&page);
    return result;
}

static int ask_sums(struct history_reader *reader, const struct question *q)
{
    struct history_aggregate sums;
    const struct history_aggregate_query query = {
        .from_ns = q->from_ns,
        .to_ns = q->to_ns,
        .by = {q->kind == MAP ? DIMENSION_CLIENT : DIMENSION_APPLICATION, DIMENSION_SERVER,
               DIMENSION_APPLICATION},
        .by_count = q->kind == MAP ? 3 : 1,
        .step_ns = q->kind == BY_MINUTE ? 60 * NS_PER_SEC : 0,
        .limit = 100,
        .wants_quality = q->kind == MAP,
        .is_all = q->is_all};
    const int result = history_query_aggregate(reader, &query, &sums);

    history_aggregate_fini(&sums);
    return result;
}

static int ask_parties(struct history_reader *reader, const struct question *q)
{
    struct history_parties parties;
    const struct history_parties_query query = {.from_ns = q->from_ns,
                                                .to_ns = q->to_ns,
                                                .is_services = q->kind == SERVICES,
                                                .self = "",
                                                .search = "",
                                                .limit = 100,
                                                .is_all = q->is_all};
    const int result = history_query_parties(reader, &query, &parties);

    history_parties_fini(&parties);
    return result;
}

static int ask_top(struct history_reader *reader, const struct question *q)
{
    struct history_groups groups;
    const struct history_groups_query query = {.from_ns = q->from_ns,
                                               .to_ns = q->to_ns,
                                               .group = GROUP_CLIENT,
                                               .limit = 20,
                                               .is_all = q->is_all};
    const int result = history_query_groups(reader, &query, &groups);

    history_groups_fini(&groups);
    return result;
}

static void answer(struct history_reader *reader, void *context)
{
    static int (*const asks[KINDS])(struct history_reader *, const struct question *) = {
        ask_flows, ask_flows,   ask_records, ask_sums, ask_sums,
        ask_sums,  ask_parties, ask_parties, ask_top};
    struct question *const q = context;
    struct history_cost cost;
    const double begin_s = turns_cpu_seconds(CLOCK_THREAD_CPUTIME_ID);

    q->result = asks[q->kind](reader, q);
    q->took_ns = (uint64_t)((turns_cpu_seconds(CLOCK_THREAD_CPUTIME_ID) - begin_s) * 1e9);
    history_reader_cost(reader, &cost);
    q->scanned = cost.scanned;
    if (cost.is_partial || cost.merge_bound != NULL) {
        (void)fprintf(stderr, "history_bench: %s: a bound was met\n", names[q->kind]);
        q->result = -1;
    }
    pthread_mutex_lock(&q->lock);
    q->is_done = true;
    pthread_cond_signal(&q->done);
    pthread_mutex_unlock(&q->lock);
}

static void drop(void *context)
{
    (void)context;
}

static int ask(struct bench *bench, struct question *q)
{
    uint64_t best_ns = UINT64_MAX;

    for (int i = 0; i < ROUNDS; i++) {
        q->is_done = false;
        if (!history_submit(bench->history, q->from_ns, answer, drop, q)) {
            return -1;
        }
        pthread_mutex_lock(&q->lock);
        while (!q->is_done) {
            pthread_cond_wait(&q->done, &q->lock);
        }
        pthread_mutex_unlock(&q->lock);
        best_ns = q->took_ns < best_ns ? q->took_ns : best_ns;
        if (q->result != 0) {
            return -1;
        }
    }
    q->took_ns = best_ns;
    return 0;
}

static int ask_all(struct bench *bench)
{
    static const struct {
        const char *name;
        uint64_t from_s, to_s;
    } ranges[] = {{"day", 0, 86400}, {"last hour", 82800, 86400}, {"an hour", 39600, 43200}};
    static const struct {
        const char *name;
        bool is_all;
    } merges[] = {{"merged", false}, {"each sensor", true}};

    (void)printf("%-26s %-12s", "milliseconds (rows)", "");
    for (unsigned r = 0; r < ARRAY_COUNT(ranges); r++) {
        (void)printf("%22s", ranges[r].name);
    }
    (void)printf("\n");
    for (int kind = 0; kind < KINDS; kind++) {
        for (unsigned m = 0; m < ARRAY_COUNT(merges); m++) {
            (void)printf("%-26s %-12s", names[kind], merges[m].name);
            for (unsigned r = 0; r < ARRAY_COUNT(ranges); r++) {
                struct question q = {.kind = (enum kind)kind,
                                     .from_ns = BEGIN_NS + ranges[r].from_s * NS_PER_SEC,
                                     .to_ns = BEGIN_NS + ranges[r].to_s * NS_PER_SEC,
                                     .is_all = merges[m].is_all,
                                     .lock = PTHREAD_MUTEX_INITIALIZER,
                                     .done = PTHREAD_COND_INITIALIZER};
                if (ask(bench, &q) != 0) {
                    return -1;
                }
                (void)printf("%11.1f %10llu", (double)q.took_ns / 1e6,
                             (unsigned long long)q.scanned);
            }
            (void)printf("\n");
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    const uint64_t records = argc > 1 ? strtoull(argv[1], NULL, 10) : 400000;
    char directory[256] = "/tmp/netscope-history-XXXXXX";
    const bool is_new = argc <= 2;
    struct error err = {0};
    struct bench *const bench = calloc(1, sizeof *bench);

    if (bench == NULL || (is_new && mkdtemp(directory) == NULL) || records < FLOW_RECORDS) {
        (void)fprintf(stderr, "usage: history_bench [RECORDS] [DIRECTORY]\n");
        return 2;
    }
    if (!is_new) {
        (void)snprintf(directory, sizeof directory, "%s", argv[2]);
    }
    bench->history = history_new(&(struct history_settings){.directory = directory,
                                                            .retention_ns = 3650 * DAY_NS,
                                                            .queue_batches = 16,
                                                            .commit_ns = NS_PER_SEC,
                                                            .commit_rows = 20000,
                                                            .query_time_ns = 600 * NS_PER_SEC,
                                                            .query_rows = UINT64_C(1) << 40,
                                                            .merge_tolerance_ns = NS_PER_SEC,
                                                            .merge_flows = 50000000},
                                 &err);
    if (bench->history == NULL) {
        (void)fprintf(stderr, "history_bench: %s\n", err.message);
        return 1;
    }
    struct history_counts counts;

    history_counts_read(bench->history, &counts);
    const uint64_t begin_ns = clock_monotonic_ns();
    int result = counts.rows_flows == 0 ? fill(bench, records) : 0;

    if (counts.rows_flows == 0) {
        (void)printf("stored: %llu records, %.0f ns each\n", (unsigned long long)bench->offered,
                     (double)(clock_monotonic_ns() - begin_ns) / (double)bench->offered);
    }
    result = result == 0 ? ask_all(bench) : result;
    history_free(bench->history);
    if (is_new) {
        char command[300];

        (void)snprintf(command, sizeof command, "rm -r '%s'", directory);
        result = system(command) != 0 ? 1 : result; /* NOLINT(cert-env33-c): our own name */
    }
    free(bench);
    return result != 0;
}

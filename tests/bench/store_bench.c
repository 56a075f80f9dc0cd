/* What the collector's store costs a flow record: batches as ingest has them become rows, sums and
 * positions in the day file, until the last of them is in the database. CPU of the store's threads,
 * for records of two sizes from several sensors; medians of five turns, in each of them what SQLite
 * alone takes to insert as many rows of as many bytes as the store's file has per record, without
 * an index, in transactions of the same size.
 *
 *     store_bench                         both sizes, five turns
 *     store_bench once plain|typical N    N records once, without a floor (for callgrind)
 *
 * Transactions end by their rows alone: under callgrind a second would end them, too. */
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/process.h"
#include "collector-ui/history/history.h"
#include "proto/codec.h"
#include "tests/bench/turns.h"
#include "tests/support/record_random.h"

#define DAY_NS        (86400 * NS_PER_SEC)
#define BEGIN_NS      (UINT64_C(1772323200) * NS_PER_SEC) /* 2026-03-01T00:00:00Z */
#define DAY_NAME      "day-2026-03-01.db"
#define RECORDS       200000U
#define BATCH_RECORDS 512U
#define RECORD_ROOM   1024U
#define SENSORS       8U
#define RECORD_GAP_NS (20 * NS_PER_US)  /* 50,000 records a second */
#define LATE_NS       (15 * NS_PER_SEC) /* flows that were silent until they ended */
#define COMMIT_ROWS   20000U
#define BY_FLOOR_MAX  3.5

struct offer {
    struct history_batch batch;
    uint8_t *message;
};

struct load {
    struct offer *offers;
    uint32_t count;
    uint64_t records, record_bytes;
};

struct figures {
    struct turns store, floor, by_floor;
    double row_bytes;
};

/* ---- records ---- */

static void vary(struct flow_record *flow, uint64_t number, char text[2][48])
{
    static const char *const apps[] = {"tls", "dns", "http", "ssh", "quic", "ntp", "smb", "mqtt"};
    const uint64_t random = hash_mix(number + 1);
    const uint64_t late_ns = random >> 60 < 8 ? 0 : (random >> 20) % LATE_NS;
    const uint64_t lasted_ns = flow->end_ns - flow->start_ns;

    flow->flow_id = random;
    if (flow->app.length > 0) {
        (void)snprintf(text[0], sizeof text[0], "1:%016llx%010llx=", (unsigned long long)random,
                       (unsigned long long)number);
        (void)snprintf(text[1], sizeof text[1], "host-%llu.example.com",
                       (unsigned long long)(random % 500));
        flow->community_id = (struct record_text){text[0], (uint32_t)strlen(text[0])};
        flow->server.name = (struct record_text){text[1], (uint32_t)strlen(text[1])};
        flow->app = (struct record_text){apps[random % 8], (uint32_t)strlen(apps[random % 8])};
    }
    memcpy(flow->client.ip.bytes + 1, &(uint16_t){(uint16_t)(random >> 8 & 4095)}, 2);
    memcpy(flow->server.ip.bytes + 2, &(uint16_t){(uint16_t)(random % 500)}, 2);
    flow->client.port = (uint16_t)(1024 + (random >> 32) % 60000);
    flow->end_ns = BEGIN_NS + lasted_ns + LATE_NS + number * RECORD_GAP_NS - late_ns;
    flow->start_ns = flow->end_ns - lasted_ns;
    flow->delta_start_ns = flow->delta_start_ns == 0 ? 0 : flow->start_ns;
}

static bool make_offer(struct load *load, void (*record)(struct flow_record *out), uint32_t number)
{
    static uint8_t bytes[BATCH_RECORDS * RECORD_ROOM];
    static uint8_t message[BATCH_RECORDS * RECORD_ROOM + 4096];
    static struct codec_slice slices[BATCH_RECORDS];
    static const char ids[] = "edge-0edge-1edge-2edge-3edge-4edge-5edge-6edge-7";
    const uint32_t sensor = number % SENSORS;
    struct codec_batch head = {.stream = RECORD_FLOWS,
                               .first_seq = (uint64_t)(number / SENSORS) * BATCH_RECORDS + 1,
                               .record_count = BATCH_RECORDS};
    struct offer *const offer = &load->offers[number];

    for (uint32_t i = 0; i < BATCH_RECORDS; i++) {
        struct flow_record flow;
        char text[2][48];

        record(&flow);
        flow.identity = (struct record_identity){0};
        vary(&flow, load->records++, text);
        slices[i].bytes = bytes + (size_t)i * RECORD_ROOM;
        slices[i].length =
            (uint32_t)codec_encode_flow(&flow, bytes + (size_t)i * RECORD_ROOM, RECORD_ROOM);
        load->record_bytes += slices[i].length;
    }
    memset(head.boot_id, 'a' + (int)sensor, 32);
    const size_t length = codec_encode_batch(&head, slices, message, sizeof message);
    size_t at = 1; /* behind the tag and length of ConnectRequest.batch */

    while (message[at] >= 0x80) {
        at++;
    }
    offer->message = length == 0 ? NULL : malloc(length - at - 1);
    if (offer->message == NULL) {
        return false;
    }
    memcpy(offer->message, message + at + 1, length - at - 1);
    offer->batch = (struct history_batch){.sensor_id = {ids + (size_t)sensor * 6, 6},
                                          .stream = RECORD_FLOWS,
                                          .first_seq = head.first_seq,
                                          .record_count = BATCH_RECORDS,
                                          .receive_ns = BEGIN_NS + DAY_NS / 2,
                                          .log_position = number + 1,
                                          .message = offer->message,
                                          .length = (uint32_t)(length - at - 1)};
    memcpy(offer->batch.boot_id, head.boot_id, sizeof head.boot_id);
    return true;
}

static bool make_load(struct load *load, void (*record)(struct flow_record *out), uint32_t records)
{
    load->count = (records + BATCH_RECORDS - 1) / BATCH_RECORDS;
    load->offers = calloc(load->count, sizeof *load->offers);
    for (uint32_t i = 0; load->offers != NULL && i < load->count; i++) {
        if (!make_offer(load, record, i)) {
            return false;
        }
    }
    return load->offers != NULL;
}

static void load_fini(struct load *load)
{
    for (uint32_t i = 0; load->offers != NULL && i < load->count; i++) {
        free(load->offers[i].message);
    }
    free(load->offers);
}

/* ---- the store ---- */

static double file_bytes_at(const char *directory, const char *name)
{
    char path[300];
    struct stat status;

    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    return stat(path, &status) == 0 ? (double)status.st_size : 0;
}

static void remove_all(const char *directory)
{
    char command[300];

    (void)snprintf(command, sizeof command, "rm -r '%s'", directory);
    (void)!system(command); /* NOLINT(cert-env33-c): our own mkdtemp name */
}

/* Ends the store. */
static bool store_all(struct history *history, const struct load *load)
{
    bool is_taken = true;

    for (uint32_t i = 0; i < load->count && is_taken; i++) {
        is_taken = history_offer(history, &load->offers[i].batch);
    }
    if (!is_taken) {
        (void)fprintf(stderr, "store_bench: %s\n", history_failure(history));
    }
    history_free(history);
    return is_taken;
}

static uint64_t rows_in(const char *directory)
{
    char path[300];
    sqlite3 *db = NULL;
    sqlite3_stmt *count = NULL;
    uint64_t rows = 0;

    (void)snprintf(path, sizeof path, "%s/" DAY_NAME, directory);
    if (sqlite3_open(path, &db) == SQLITE_OK &&
        sqlite3_prepare_v2(db, "SELECT count(*) FROM flows", -1, &count, NULL) == SQLITE_OK &&
        sqlite3_step(count) == SQLITE_ROW) {
        rows = (uint64_t)sqlite3_column_int64(count, 0);
    }
    sqlite3_finalize(count);
    sqlite3_close(db);
    return rows;
}

/* ns CPU a record of all threads but this one, until the file is whole and closed. */
static int turn_store(const struct load *load, double *ns, double *row_bytes)
{
    char directory[] = "/tmp/store-bench-XXXXXX";
    struct error err = {0};

    if (mkdtemp(directory) == NULL) {
        return -1;
    }
    const double all_s = turns_cpu_seconds(CLOCK_PROCESS_CPUTIME_ID);
    const double own_s = turns_cpu_seconds(CLOCK_THREAD_CPUTIME_ID);
    struct history *const history =
        history_new(&(struct history_settings){.directory = directory,
                                               .retention_ns = 3650 * DAY_NS,
                                               .commit_ns = 60 * NS_PER_SEC,
                                               .commit_rows = COMMIT_ROWS},
                    &err);

    if (history == NULL) {
        (void)fprintf(stderr, "store_bench: %s\n", err.message);
        return -1;
    }
    const bool is_taken = store_all(history, load);
    const double took_s = turns_cpu_seconds(CLOCK_PROCESS_CPUTIME_ID) - all_s -
                          (turns_cpu_seconds(CLOCK_THREAD_CPUTIME_ID) - own_s);
    const uint64_t rows = rows_in(directory);

    *ns = took_s * 1e9 / (double)load->records;
    *row_bytes = file_bytes_at(directory, DAY_NAME) / (double)load->records;
    remove_all(directory);
    if (is_taken && rows != load->records) {
        (void)fprintf(stderr, "store_bench: %llu of %llu rows\n", (unsigned long long)rows,
                      (unsigned long long)load->records);
    }
    return is_taken && rows == load->records ? 0 : -1;
}

/* ---- SQLite alone ---- */

static bool insert_all(sqlite3 *db, uint64_t records, int row_bytes)
{
    static const uint8_t row[64U << 10];
    sqlite3_stmt *insert = NULL;
    bool is_ok =
        sqlite3_exec(db,
                     "PRAGMA page_size=16384; PRAGMA journal_mode=WAL;"
                     "PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=0;"
                     "PRAGMA cache_size=-24576; CREATE TABLE rows(row BLOB); BEGIN",
                     NULL, NULL, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(db, "INSERT INTO rows VALUES(?)", -1, &insert, NULL) == SQLITE_OK;

    for (uint64_t i = 1; is_ok && i <= records; i++) {
        sqlite3_bind_blob(insert, 1, row, row_bytes, SQLITE_STATIC);
        is_ok = sqlite3_step(insert) == SQLITE_DONE;
        sqlite3_reset(insert);
        if (is_ok && (i % COMMIT_ROWS == 0 || i == records)) {
            is_ok = sqlite3_exec(db, i == records ? "COMMIT" : "COMMIT; BEGIN", NULL, NULL, NULL) ==
                    SQLITE_OK;
            sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
        }
    }
    sqlite3_finalize(insert);
    return is_ok;
}

static int turn_floor(const struct load *load, double row_bytes, double *ns)
{
    char directory[] = "/tmp/store-bench-XXXXXX";
    char path[64];
    sqlite3 *db = NULL;

    if (mkdtemp(directory) == NULL) {
        return -1;
    }
    (void)snprintf(path, sizeof path, "%s/floor.db", directory);
    const double start_s = turns_cpu_seconds(CLOCK_THREAD_CPUTIME_ID);
    const bool is_stored =
        sqlite3_open(path, &db) == SQLITE_OK && insert_all(db, load->records, (int)row_bytes);

    *ns = (turns_cpu_seconds(CLOCK_THREAD_CPUTIME_ID) - start_s) * 1e9 / (double)load->records;
    sqlite3_close(db);
    remove_all(directory);
    return is_stored ? 0 : -1;
}

/* ---- figures ---- */

static int run(const char *name, void (*record)(struct flow_record *out))
{
    struct load load = {0};
    struct figures figures = {0};
    int status = make_load(&load, record, RECORDS) ? 0 : -1;

    for (uint32_t i = 0; i < TURNS && status == 0; i++) {
        double store = 0, floor = 0;

        status = turn_store(&load, &store, &figures.row_bytes);
        status = status == 0 ? turn_floor(&load, figures.row_bytes, &floor) : status;
        turns_add(&figures.store, store);
        turns_add(&figures.floor, floor);
        turns_add(&figures.by_floor, floor > 0 ? store / floor : 0);
    }
    if (status == 0) {
        const double stored = turns_median(&figures.store);
        const double by_floor = turns_median(&figures.by_floor);

        (void)printf("store, %s records of %llu bytes: %.0f a CPU second, %.0f ns each, %.1f times"
                     " SQLite alone (at most %.1f: %s; rows of as many bytes take %.0f),"
                     " %.0f bytes each in the day's file\n",
                     name, (unsigned long long)(load.record_bytes / load.records), 1e9 / stored,
                     stored, by_floor, BY_FLOOR_MAX, turns_verdict(by_floor, BY_FLOOR_MAX, 0),
                     turns_median(&figures.floor), figures.row_bytes);
    }
    load_fini(&load);
    return status;
}

static int run_once(const char *shape, uint32_t records)
{
    struct load load = {0};
    double ns = 0, row_bytes = 0;
    int status =
        make_load(&load, strcmp(shape, "plain") == 0 ? record_plain_flow : record_typical_flow,
                  records)
            ? 0
            : -1;

    status = status == 0 ? turn_store(&load, &ns, &row_bytes) : status;
    (void)printf("%llu records: %.0f ns each, %.0f bytes each in the day's file\n",
                 (unsigned long long)load.records, ns, row_bytes);
    load_fini(&load);
    return status;
}

int main(int argc, char **argv)
{
    process_keep_freed_memory(); /* as the collector does */
    if (argc == 4 && strcmp(argv[1], "once") == 0) {
        return run_once(argv[2], (uint32_t)strtoul(argv[3], NULL, 10)) == 0 ? EXIT_SUCCESS
                                                                            : EXIT_FAILURE;
    }
    return run("plain", record_plain_flow) == 0 && run("typical", record_typical_flow) == 0
               ? EXIT_SUCCESS
               : EXIT_FAILURE;
}

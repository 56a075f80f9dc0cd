/* What the files of collector-ui/clickhouse share; nobody else includes it. Depends on: base,
 * proto. Threads: what is not said to be the lock's belongs to the feed's thread. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/packing/packing.h"
#include "base/transfer/transfer.h"
#include "collector-ui/clickhouse/clickhouse.h"
#include "proto/row/record_table.h"
#include "proto/row/row_table.h"

#define CLICKHOUSE_ID_BYTES    33
#define CLICKHOUSE_TOKEN_BYTES 96
#define CLICKHOUSE_PATH_BYTES  4096

/* ---- clickhouse_state.c: the place in the log, in a small file ---- */

struct clickhouse_state {
    char id[CLICKHOUSE_ID_BYTES]; /* of this log: random, in every token */
    uint64_t from;                /* all before it is in the table, or given up */
    uint64_t to;                  /* 0, or where the batch ends that may have been sent already */
};

/* The beginning of a log, with an id of its own. */
void clickhouse_state_new(struct clickhouse_state *out);
/* A new one where there is no file. 0 or -errno: EBADMSG where it is none of ours. */
MUST_USE int clickhouse_state_load(const char *path, struct clickhouse_state *out,
                                   struct error *err);
/* On the disk when it returns. 0 or -errno. */
MUST_USE int clickhouse_state_save(const char *path, const struct clickhouse_state *state,
                                   struct error *err);
/* By which the server knows the batch again. */
void clickhouse_state_token(const struct clickhouse_state *state, char out[CLICKHOUSE_TOKEN_BYTES]);

/* ---- clickhouse_http.c ---- */

enum clickhouse_outcome {
    CLICKHOUSE_DONE,
    CLICKHOUSE_RETRY,   /* the way or the server: the same again later */
    CLICKHOUSE_MISFIT,  /* the server wants something else: login, table, columns */
    CLICKHOUSE_REFUSED, /* these rows: it never will */
};

struct clickhouse_rows;
struct clickhouse_http;
/* `table`: of its statements; lives as long. */
MUST_USE struct clickhouse_http *clickhouse_http_new(const struct clickhouse_settings *settings,
                                                     const char *table,
                                                     const atomic_uint_fast64_t *deadline_ns,
                                                     struct error *err);
void clickhouse_http_free(struct clickhouse_http *http); /* NULL is allowed */
/* The table's columns; `text` is borrowed until the next call. */
enum clickhouse_outcome clickhouse_http_describe(struct clickhouse_http *http, const char **text,
                                                 size_t *length, struct error *err);
enum clickhouse_outcome clickhouse_http_insert(struct clickhouse_http *http, const char *columns,
                                               const char *token,
                                               const struct clickhouse_rows *rows,
                                               struct error *err);
/* Who takes the answer of a question, piece by piece. */
struct clickhouse_sink {
    bool (*take)(void *context, const uint8_t *bytes, size_t length); /* false: no more */
    bool (*is_wanted)(void *context);                                 /* asked now and then */
    void *context;
};
/* A statement that changes nothing, which the server may work on for so long. `code`: ClickHouse's
 * own, of an answer that is none; 0: it had none. Also where the sink wanted no more it has failed.
 */
enum clickhouse_outcome clickhouse_http_select(struct clickhouse_http *http, const char *statement,
                                               uint64_t seconds, const struct clickhouse_sink *sink,
                                               long *code, struct error *err);
/* What an answer means: its status, and ClickHouse's own code (0: none) with its words. Pure. */
enum clickhouse_outcome clickhouse_judge(long status, long code, const char *words);

/* ---- clickhouse_table.c: what a table takes of a stream's records ---- */

struct clickhouse_table {
    struct row_table *flows;     /* of FlowRow; NULL: it is another stream's */
    struct record_table *others; /* of the record itself */
};

/* Both NULL: it is none yet. */
static inline bool clickhouse_table_is_known(const struct clickhouse_table *table)
{
    return table->flows != NULL || table->others != NULL;
}
/* `description`: what DESCRIBE TABLE answers. 0 or -errno. */
MUST_USE int clickhouse_table_read(enum record_stream stream, const char *description,
                                   size_t length, struct clickhouse_table *out, struct error *err);
void clickhouse_table_fini(struct clickhouse_table *table);
const char *clickhouse_table_columns(const struct clickhouse_table *table);
uint32_t clickhouse_table_left_out(const struct clickhouse_table *table, const char **first);
bool clickhouse_table_keeps_records(const struct clickhouse_table *table);

/* ---- clickhouse_body.c: records as rows ---- */

struct clickhouse_body {
    uint8_t *bytes;
    size_t length, room;
    uint32_t rows, frames;
    uint64_t records, undecodable; /* records = rows + undecodable */
    uint8_t *record, *row;         /* scratch */
    struct packer *packer;         /* NULL: rows travel as they are */
    uint8_t *packed;
    size_t packed_length, packed_room; /* length 0: they do so this time */
};

MUST_USE bool clickhouse_body_init(struct clickhouse_body *body, bool is_packed);
void clickhouse_body_fini(struct clickhouse_body *body);
void clickhouse_body_clear(struct clickhouse_body *body);
/* Appends the batch's rows. False: no memory, and none of them is there. */
MUST_USE bool clickhouse_body_add(struct clickhouse_body *body,
                                  const struct clickhouse_table *table,
                                  const struct clickhouse_batch *batch);
/* What is sent: packed where that is wanted and makes it less. */
struct clickhouse_rows {
    const uint8_t *bytes;
    size_t length;
    bool is_packed; /* by zstd */
};
struct clickhouse_rows clickhouse_body_rows(struct clickhouse_body *body);

/* ---- clickhouse_rows.c: rows of a question, out of pieces of its answer ---- */

/* What a question asks for, in this order; the first one is a mark, by which words of an error in
 * the middle of an answer are known. */
#define CLICKHOUSE_ROW_COLUMNS                                                                     \
    "toUInt8(1), toString(sensor_id), toString(boot_id), toUInt64(record_seq), toString(record)"

struct clickhouse_record;
struct clickhouse_row_reader {
    bool (*take)(void *context, const struct clickhouse_record *record); /* false: no more */
    void *context;
    uint8_t *bytes; /* of a row that is not whole yet */
    size_t length, room;
    bool is_malformed, has_no_memory;
};
void clickhouse_row_reader_fini(struct clickhouse_row_reader *reader);
/* False: the taker wants no more, or it is malformed (a bound of a record's identity or length is
 * passed, the mark is missing), or there is no memory. */
MUST_USE bool clickhouse_row_reader_take(struct clickhouse_row_reader *reader, const uint8_t *bytes,
                                         size_t length);

/* ---- clickhouse.c and clickhouse_feed.c ---- */

struct clickhouse {
    const struct clickhouse_settings *settings;
    enum record_stream stream;
    const char *part;       /* "clickhouse alerts": in the log */
    const char *table_name; /* of the settings */
    char path[CLICKHOUSE_PATH_BYTES];
    struct clickhouse_log log;
    pthread_t thread;
    bool has_thread;
    atomic_uint_fast64_t position;    /* as saved */
    atomic_uint_fast64_t deadline_ns; /* monotonic; 0: it runs */

    pthread_mutex_t lock;
    pthread_cond_t wake;
    /* Under the lock: */
    uint64_t start_end; /* of the log at the start */
    uint64_t noted;     /* batches since */
    struct clickhouse_counts counts;

    /* The thread's: */
    struct clickhouse_state state;
    struct clickhouse_http *http;
    struct clickhouse_table table;
    void *reader;
    uint64_t missing; /* of the reader, as counted */
    struct clickhouse_body body;
    bool is_filled;      /* the body is a batch to be sent */
    uint64_t body_end;   /* where it ends in the log */
    uint32_t frames_max; /* of the next batch; less than all where one was refused */
    bool is_suspect;     /* something behind state.from was refused */
    unsigned failures;   /* tries in a row */
};

/* The thread: reads, sends, and moves its place, until the end. */
void *clickhouse_feed(void *clickhouse);
bool clickhouse_is_stopping(const struct clickhouse *clickhouse);

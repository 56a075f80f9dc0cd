/* Labels of networks for the records of flows, and what the operator calls addresses: the publisher
 * appends them, once for each record.
 *
 * A name of an address alone stands in place of what traffic told (NAME_STATIC); one of its network
 * is taken where nothing else tells one.
 * A source is what main and readers share: the labels of now, which a reload replaces as a whole. A
 * join is the publisher's, with the addresses seen last in a table, so that most records ask
 * neither prefixes nor databases. Depends on: base/netlabel, batch. Threads: a source any; a join
 * its own alone, but for the counts. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/counter.h"
#include "base/error.h"
#include "base/netlabel/netlabel.h"
#include "sensor/pipeline/batch.h"

#define LABEL_RUN_BYTES_MAX 320 /* of one address, as the elements of Endpoint.labels */
/* Behind a record. */
#define LABEL_JOIN_ROOM (2 * (LABEL_RUN_BYTES_MAX + 4 + NETLABEL_NAME_BYTES + 8))

struct label_source;

/* Takes the labels. NULL with `err`; they are the caller's still. */
MUST_USE struct label_source *label_source_new(struct netlabels *labels, struct error *err);
void label_source_free(struct label_source *source); /* when nobody uses it any more */
/* Others from now on; what is being read is freed when it is done. */
void label_source_use(struct label_source *source, struct netlabels *labels);

/* One end of an encoded flow. */
struct label_end {
    struct ip_address address;
    bool is_server;
    bool is_named; /* by what traffic told */
};
/* The end's labels and name behind the flow, as codec_append_name does. Bytes written; 0: there are
 * none, or no room. */
size_t label_source_append(struct label_source *source, const struct label_end *end, uint8_t *out,
                           size_t capacity);

/* The labels of now for one walk over flows, with the addresses seen last in a table. One thread at
 * a time. NULL: no memory. */
struct label_view;
MUST_USE struct label_view *label_view_new(struct label_source *source);
void label_view_free(struct label_view *view); /* NULL is allowed */
/* Gives the flow the labels of its ends, until the next call or the end of the view. */
void label_view_use(struct label_view *view, struct flow_record *flow);

struct label_join_counts {
    struct counter found, looked_up; /* addresses that the table had, and had not */
    struct counter labelled;         /* ends of flows with at least one label */
    struct counter named;            /* ends of flows with a name of the operator's */
    struct counter omitted;          /* labels and names for which there was no room */
    struct counter prefixes;         /* of the labels and names in use */
    struct counter memory_bytes;
};

struct label_join;
MUST_USE struct label_join *label_join_new(struct label_source *source, struct error *err);
void label_join_free(struct label_join *join); /* NULL is allowed */
/* Before the records are numbered. */
void label_join_batch(struct label_join *join, struct record_batch *batch);
/* The name of an address where it counts, or none; until the next label_join_ call. */
struct record_text label_join_name(struct label_join *join, const struct ip_address *address,
                                   bool is_named);
const struct label_join_counts *label_join_counts_of(const struct label_join *join);

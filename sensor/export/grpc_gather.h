/* Questions about the flows alive now: each shard walks its table and keeps the best, the publisher
 * adds the names that it knows to those, and the rpc thread puts the answers together.
 *
 * A gather holds at most `limit` encoded flows, or GATHER_GROUPS_MAX groups, a shard. Private to
 * sensor/export/grpc_*.c. */
#pragma once

#include "netscope/v1/flow_service.pb-c.h"
#include "sensor/export/grpc_private.h"

#define GATHER_GROUPS_MAX 16384U
#define GATHER_KEY_BYTES  64

enum gather_group {
    GATHER_FLOWS, /* no groups */
    GATHER_BY_CLIENT,
    GATHER_BY_SERVER,
    GATHER_BY_SERVER_PORT,
    GATHER_BY_APP,
    GATHER_BY_SENSOR,
};

struct gather_flow {
    uint64_t key; /* the larger, the earlier */
    uint64_t flow_id;
    uint8_t *bytes; /* encoded as UPDATE, without identity */
    uint32_t length;
    /* For the names that DNS answers gave its ends. */
    uint64_t start_ns;
    struct ip_address client, server;
    bool wants_client_name, wants_server_name; /* it said none itself */
};

struct gather_row {
    char key[GATHER_KEY_BYTES];
    uint64_t bytes, packets, flows;
};

struct gather_settings {
    enum gather_group group;
    Netscope__V1__FlowOrder order;
    uint32_t limit;
    struct filter *filter;        /* taken over; NULL = all */
    struct record_text sensor_id; /* what a filter may ask for; set by gather_start, window_start */
    /* Only flows behind this one in order. */
    uint64_t question; /* a hash of the filter: its pages go together */
    bool has_cursor;
    uint64_t cursor_key, cursor_flow_id;
    /* Only this flow. */
    bool has_flow_id;
    uint64_t flow_id;
    char community_id[64]; /* "" = any */
    uint64_t window_ns;    /* of window_start */
};

/* Fields of GetTopFlowsResponse. */
enum { TOP_FLOWS = 1, TOP_GROUPS = 2, TOP_FROM = 3, TOP_TRUNCATED = 4 };
#define RECORD_IDENTITY_BYTES_MAX 192 /* sensor_id and boot_id in a record */

struct gather_result {
    struct gather_flow *flows; /* in order */
    uint32_t flows_count;
    struct gather_row *groups; /* in order, at most limit */
    uint32_t groups_count;
    uint64_t matched;
    bool is_full; /* a shard had more groups than it could hold: the figures are lower bounds */
};

/* By what a flow is ranked, the larger the earlier; sums are since it began. */
uint64_t gather_order_key(Netscope__V1__FlowOrder order, const struct flow_record *flow);
/* The value of group_by; "" for the sensor. */
void gather_group_key(enum gather_group group, const struct flow_record *record,
                      char key[GATHER_KEY_BYTES]);
/* A flow with the identity of the sensor, but no record_seq: it is no record of the stream. */
void gather_write_flow(struct wire_writer *w, const struct grpc_server *server, uint32_t field,
                       const struct gather_flow *flow);

/* The sensor's id; lives as long as the server. */
struct record_text gather_own_id(const struct grpc_server *server);
/* Does the filter let it through? A record of a shard has no identity of its own, and no labels:
 * `labels` (NULL: it has them, or there are none) are asked for where they may decide. */
bool gather_passes(const struct gather_settings *settings, struct label_view *labels,
                   struct flow_record *record);
/* A view of labels where the filter asks for them, else NULL. False: no memory. */
MUST_USE bool gather_view_labels(const struct gather_settings *settings,
                                 const struct pipeline *pipeline, struct label_view **view);

/* Refuses the call when too many gathers run. `answer` comes on the rpc thread, once, unless the
 * call is over by then. */
void gather_start(struct grpc_ask *ask, const struct gather_settings *settings,
                  void (*answer)(struct grpc_ask *ask, const struct gather_settings *settings,
                                 const struct gather_result *result));

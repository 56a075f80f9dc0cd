/* A flow table whose records are kept, and packets from text. For tests of one thread. */
#pragma once

#include "sensor/flow/flow_table.h"
#include "tests/support/packet_builder.h"

#define SECOND UINT64_C(1000000000)
#define MILLI  UINT64_C(1000000)

struct harness {
    struct flow_table *table;
    struct flow_record *records; /* in order; community_id points into ids */
    char (*ids)[32];
    uint32_t count, capacity;
    uint32_t syns; /* of the records: that are told in brief, too */
    uint8_t buffer[2048];
    struct packet_builder builder;
};

/* idle 60 s, active 60 s, first update 5 s, everything measured, 1024 flows, a fixed key. */
struct flow_settings harness_settings(void);
void harness_start(struct harness *h, const struct flow_settings *settings);
void harness_stop(struct harness *h); /* ends what lives, and checks that nothing is held */
/* Of a table without flows: each part of theirs has come back. */
void harness_check_parts(const struct flow_table *table);

void harness_add_frame(struct harness *h, const struct frame *frame);

/* TCP between 10.0.0.1:40000 (side 0) and 192.0.2.1:443 (side 1). */
struct segment {
    uint64_t at_ns;
    int side;
    uint8_t flags;
    uint32_t seq, ack;
    uint16_t window; /* 0: 65535; 1 means a zero window */
    uint32_t payload;
};
void harness_tcp(struct harness *h, struct segment segment);

/* The same with options. */
struct optioned_segment {
    uint64_t at_ns;
    int side;
    uint8_t flags;
    uint32_t seq, ack;
    uint16_t window;
    uint32_t payload;
    uint32_t sack_left, sack_right; /* equal: no SACK */
    uint32_t stamp, echo;           /* 0, 0: no timestamps */
    bool sack_permitted;
    uint8_t scale; /* window scale + 1; 0: none */
    uint16_t ip_id;
    uint16_t mss;        /* 0: none */
    bool is_last_member; /* nothing: an initializer ends with it */
};
void harness_tcp_options(struct harness *h, struct optioned_segment segment);
/* SYN at `at_ns`, SYN-ACK 10 ms and ACK 30 ms later; sequence numbers go on at 1001 and 5001. */
void harness_handshake(struct harness *h, uint64_t at_ns);
void harness_udp(struct harness *h, uint64_t at_ns, const char *source, uint16_t source_port,
                 const char *target, uint16_t target_port, uint32_t payload);

/* Ends all; `harness_last` is then the last record. */
void harness_finish(struct harness *h, uint64_t now_ns);
const struct flow_record *harness_last(const struct harness *h);

/* The one flow of a table with at most 1024 places. */
const struct flow *harness_flow(const struct flow_table *table);
/* A packet of one UDP flow between 10.0.0.1 and 10.0.0.2 with sums of its own. */
void harness_sized(struct harness *h, uint64_t at_ns, int direction, uint32_t wire, uint32_t ip,
                   uint32_t payload, uint8_t ttl);

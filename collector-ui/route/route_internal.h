/* What the files of collector-ui/route share; nobody else includes it. Depends on: base, proto.
 * Threads: a receiver and all that is in it belong to its thread. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/endpoint.h"
#include "base/error.h"
#include "base/transfer/transfer.h"
#include "collector-ui/route/route.h"
#include "proto/alert_choice.h"
#include "proto/codec.h"
#include "proto/record.h"

#define ROUTE_RECORD_BYTES_MAX (CODEC_ALERT_BYTES_MAX + CODEC_IDENTITY_BYTES_MAX)
#define ROUTE_BODY_BYTES_MAX   ((size_t)256 << 10)
#define ROUTE_URL_BYTES        2048
#define ROUTE_TOKEN_BYTES      4096
#define ROUTE_BROKERS_BYTES    1024
#define ROUTE_SOCKET_BYTES     108 /* of the path of a local socket (unix(7)) */

/* ---- route_target.c: where and how ---- */

enum route_transport {
    ROUTE_HTTP, /* and HTTPS */
    ROUTE_UDP,  /* RFC 5426 */
    ROUTE_TCP,  /* RFC 6587 3.4.1: octet counting */
    ROUTE_TLS,  /* RFC 5425 */
    ROUTE_UNIX, /* a datagram socket, as /dev/log */
    ROUTE_KAFKA,
};

enum route_form {
    ROUTE_JSON,
    ROUTE_PROTOBUF,
    ROUTE_SLACK,
    ROUTE_ALERTMANAGER,
    ROUTE_TEXT,
    ROUTE_CEF,
};

struct route_target {
    enum route_transport transport;
    enum route_form form;
    bool is_tls, is_loopback;
    char url[ROUTE_URL_BYTES]; /* ROUTE_HTTP; may hold a secret: it goes into no message */
    char host[ENDPOINT_HOST_BYTES];
    char path[256];                    /* ROUTE_UNIX; ROUTE_KAFKA: the topic */
    char brokers[ROUTE_BROKERS_BYTES]; /* ROUTE_KAFKA */
    uint16_t port;
};

/* Reads url or url_file. 0 or -errno with `err` ("url: ..."). */
MUST_USE int route_target_read(const struct route_receiver_settings *settings,
                               struct route_target *out, struct error *err);

/* ---- route_choice.c: which alerts, and when again ---- */

struct route_choice {
    struct alert_choice alerts;
    struct config_list sensors; /* borrowed; empty: all */
    uint8_t scope;              /* enum alert_scope; none: any */
    bool on_close;
    uint64_t repeat_ns; /* 0: never again */
};

/* 0 or -errno; free what it took with route_choice_fini. */
MUST_USE int route_choice_read(const struct route_receiver_settings *settings,
                               struct route_choice *out, struct error *err);
void route_choice_fini(struct route_choice *choice);

/* An incident that a receiver was told of. */
struct route_told {
    char alert_id[37];
    uint8_t severity; /* none: nothing yet */
    bool is_closed;
    bool is_held;     /* a silence holds news of it back */
    uint64_t wall_ns; /* when last */
};

struct route_told_list {
    struct route_told *items;
    uint32_t count, capacity;
    uint64_t forgotten;
    bool is_changed;
};

/* Whether the receiver is to be told of this record now. Pure. */
bool route_is_wanted(const struct route_choice *choice, const struct route_told_list *told,
                     const struct alert_record *alert, uint64_t wall_ns);
/* The highest severity that it was told of this incident; SEVERITY_NONE: it was not. */
uint8_t route_told_severity(const struct route_told_list *told, const char *alert_id);
enum route_verdict {
    ROUTE_TELL,
    ROUTE_PASS_OVER,
    ROUTE_HOLD, /* news, but a silence holds them back */
};
/* The same, with what people have said of it. Pure. */
enum route_verdict route_judge(const struct route_choice *choice,
                               const struct route_told_list *told, const struct alert_record *alert,
                               struct route_said said, uint64_t wall_ns);
/* It was held back; false: so it was before. */
bool route_told_hold(struct route_told_list *told, const struct alert_record *alert,
                     uint64_t wall_ns);
/* It was told. When the list is full, the incident longest closed is forgotten, else the one told
 * longest ago. */
void route_told_note(struct route_told_list *told, const struct alert_record *alert,
                     uint64_t wall_ns);
/* It was passed over. One that closes gives its place up before those that go on. */
void route_told_pass(struct route_told_list *told, const struct alert_record *alert);
/* A small file, replaced as a whole. 0 or -errno. */
MUST_USE int route_told_save(struct route_told_list *told, const char *path, struct error *err);
/* Lines of another form are passed over: the worst that follows is a message that comes twice. */
void route_told_load(struct route_told_list *told, const char *path);

/* ---- route_incidents.c: what goes on ---- */

struct route_incident {
    char alert_id[37];
    uint8_t *record; /* the newest */
    size_t length;
    uint64_t wall_ns; /* when it came */
};

struct route_incidents {
    struct route_incident *items;
    uint32_t count, capacity;
    uint64_t bytes, bytes_max; /* of the records */
    uint64_t forgotten;        /* there was no room: they are not told again */
};

/* Keeps a copy of the record while the incident is open. */
void route_incidents_note(struct route_incidents *incidents, const struct alert_record *alert,
                          const uint8_t *record, size_t length, uint64_t wall_ns);
/* NULL: it does not go on, or is not known. Borrowed until the next note. */
const struct route_incident *route_incidents_find(const struct route_incidents *incidents,
                                                  const char *alert_id);
/* Of those that `told` says were told `repeat_ns` ago or more (0: none ever), and of which
 * something was heard within `forget_ns`, and that no silence holds back, the one told longest ago;
 * NULL: none. Borrowed until the next note.
 */
const struct route_incident *route_incidents_due(const struct route_incidents *incidents,
                                                 const struct route_told_list *told,
                                                 uint64_t repeat_ns, uint64_t forget_ns,
                                                 uint64_t wall_ns);
void route_incidents_fini(struct route_incidents *incidents);

/* ---- route_body.c: how an alert is said ---- */

struct route_saying {
    const uint8_t *record; /* AlertRecord */
    size_t length;
    const struct alert_record *alert; /* the same, decoded */
    uint64_t wall_ns;
    uint64_t repeat_ns;    /* of the receiver: how long Alertmanager holds an alert for firing */
    uint8_t told_severity; /* what the receiver was told before; SEVERITY_NONE: nothing */
    bool is_local;         /* syslog: to this machine's own daemon */
    unsigned facility;     /* syslog */
    const char *host;      /* this machine's */
    uint32_t process_id;
};

/* The body of a request, or one syslog message without its framing (RFC 5424). Bytes in `out`; 0:
 * it does not fit, or the record is none. Names from the wire are escaped as the form asks. Pure.
 */
size_t route_body(enum route_form form, bool is_syslog, const struct route_saying *saying,
                  char *out, size_t capacity);

/* ---- route_http.c, route_syslog.c, route_kafka.c: the ways out ---- */

enum route_outcome {
    ROUTE_DELIVERED,
    ROUTE_RETRY,   /* it may go later; `err` says why it did not now */
    ROUTE_REFUSED, /* it never will */
};

/* One request at a time, over a connection that is kept. */
struct route_http;
MUST_USE struct route_http *route_http_new(const struct route_target *target,
                                           const struct route_receiver_settings *settings,
                                           const struct transfer_limits *limits, struct error *err);
void route_http_free(struct route_http *http);
/* `wait_ns`: what the receiver asked to wait (Retry-After, RFC 9110 10.2.3), else 0. */
enum route_outcome route_http_send(struct route_http *http, const char *body, size_t length,
                                   uint64_t *wait_ns, struct error *err);

struct route_syslog;
MUST_USE struct route_syslog *route_syslog_new(const struct route_target *target,
                                               const struct route_receiver_settings *settings,
                                               const struct transfer_limits *limits,
                                               struct error *err);
void route_syslog_free(struct route_syslog *syslog);
enum route_outcome route_syslog_send(struct route_syslog *syslog, const char *message,
                                     size_t length, struct error *err);

struct route_kafka;
/* Whether the properties are librdkafka's, and allowed here; connects to nobody. 0 or -errno. */
MUST_USE int route_kafka_check(const struct route_target *target,
                               const struct route_receiver_settings *settings, struct error *err);
MUST_USE struct route_kafka *route_kafka_new(const struct route_target *target,
                                             const struct route_receiver_settings *settings,
                                             const struct transfer_limits *limits,
                                             struct error *err);
void route_kafka_free(struct route_kafka *kafka);
enum route_outcome route_kafka_send(struct route_kafka *kafka, const char *key, const char *body,
                                    size_t length, struct error *err);

/* ---- route_receiver.c: one receiver, its thread's work ---- */

struct route_receiver {
    const char *name;
    const struct route_receiver_settings *settings;
    struct route_target target;
    struct route_choice choice;
    struct transfer_limits limits;
    struct route_http *http; /* one of these */
    struct route_syslog *syslog;
    struct route_kafka *kafka;
    struct arena *arena;
    struct alert_record *alert;
    uint8_t *record; /* ROUTE_RECORD_BYTES_MAX */
    char *body;      /* ROUTE_BODY_BYTES_MAX */
    char host[256];
};

/* All that can be told of settings without connecting. 0 or -errno ("receivers.NAME: ..."). */
MUST_USE int route_receiver_check(const char *name, const struct route_receiver_settings *settings,
                                  struct error *err);
/* 0 or -errno with `err` ("receivers.NAME: ..."). `deadline_ns` as in struct transfer_limits;
 * zeroed before. */
MUST_USE int route_receiver_open(struct route_receiver *receiver, const char *name,
                                 const struct route_receiver_settings *settings,
                                 const atomic_uint_fast64_t *deadline_ns, struct error *err);
void route_receiver_close(struct route_receiver *receiver);
/* Decodes the record; false: it is none. */
MUST_USE bool route_receiver_read(struct route_receiver *receiver, const uint8_t *record,
                                  size_t length);
/* What route_receiver_read took, once. `told_severity` as in struct route_saying. */
enum route_outcome route_receiver_send(struct route_receiver *receiver, size_t length,
                                       uint8_t told_severity, uint64_t *wait_ns, struct error *err);
/* Makes the record that was read last one of an incident that goes on; returns its length. */
size_t route_receiver_go_on(struct route_receiver *receiver);

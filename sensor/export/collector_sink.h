/* The stream to a collector: IngestService.Connect, dialled from here.
 *
 * Batches are encoded once into a spool per stream (memory first, then segment files; bounded, the
 * oldest goes and is told as GapNotice), sent within the collector's window, kept until its Ack
 * says they are on its disk, and sent again after a reconnect from where Welcome says. What a run
 * leaves in the spool the next one sends first, under the boot_id of the former. Never blocks the
 * publisher. Depends on: base, base/rpc, base/spool, proto, pipeline. Threads: offer and sketch by
 * the publisher; all else on a thread of its own. */
#pragma once

#include "base/config/config.h"
#include "base/error.h"
#include "base/rpc/rpc.h"
#include "sensor/export/spool_settings.h"
#include "sensor/pipeline/sink.h"

struct pipeline;

struct collector_settings {
    const char *address;     /* "host:50052"; empty = off */
    const char *ca;          /* PEM of the CA; with it TLS is used */
    const char *certificate; /* PEM, mTLS */
    const char *key;
    const char *server_name; /* expected in the collector's certificate; empty = host of address */
    const char *token_file;  /* bearer token; file mode must not be readable by others */
    bool insecure;           /* plaintext to an address that is not loopback */
    uint64_t spool_bytes;    /* 256 MiB; without a directory */
    uint64_t backoff_max_ns; /* 15 s, jittered */
    uint64_t keepalive_interval_ns, keepalive_timeout_ns; /* 30 s, 10 s */
    const char *compression;                              /* none | zstd */
    const char *follow_redirects; /* off | same-domain | any: where the collector may send us */
    struct config_list redirect_hosts; /* and there, with same-domain: "host" or ".domain" */
    /* Settings that the collector offers; the program's own part takes them. */
    const char *apply_config;       /* off | run | file */
    struct config_list locked_keys; /* that it may not change: "grpc", "capture.interface" */
    uint64_t apply_hold_ns;         /* so long the stream must hold afterwards ... */
    uint64_t apply_timeout_ns;      /* ... within this, or the settings before come back */
    /* They come back too when more is lost: more than ratio times the share before it (0: not
     * looked at), more than `share` of all, and at least so many. */
    double apply_loss_ratio, apply_loss_share;
    uint64_t apply_loss_least, apply_loss_before_ns;
    const char *captures;        /* off | headers | full: what it may have captured here */
    uint64_t assets_interval_ns; /* between two reports of assets; 0: none */
};

extern const struct config_field collector_fields[];

struct ingest_config_offer;
struct ingest_config_status;

/* What the sink needs beside its settings. Texts and `spool` are borrowed for life. */
struct collector_options {
    const char *sensor_id, *boot_id, *config_hash; /* what Hello says */
    const char *labels;                            /* likewise; as in sensor_labels.h */
    const struct spool_settings *spool;
    const char *state_directory; /* for a spool without a directory of its own; NULL or "": none */
    bool is_lossless;            /* a full spool pushes back instead of dropping */
    bool waits_for_input;        /* dials from collector_sink_begin on, not at once */
    /* Settings that the collector offers, borrowed for the call; on the sink's thread. NULL: none
     * are wanted. */
    void (*on_offer)(void *context, const struct ingest_config_offer *offer);
    void *context;
};

/* The form of the address, what goes together, plaintext to another machine; opens nothing.
 * `address` is not empty. 0 or -EINVAL. collector_sink_open asks it too. */
MUST_USE int collector_sink_check(const struct collector_settings *settings, struct error *err);
/* 0 with `out` filled; -errno with `err` (certificate files, plaintext refused, token file's mode,
 * a spool directory that cannot be used). A collector that is down is no error, nor a disk that is
 * full or read-only: the spool then is in memory, and the log says so. */
MUST_USE int collector_sink_open(const struct collector_settings *settings,
                                 const struct collector_options *options,
                                 struct rpc_runtime *runtime, struct sink *out, struct error *err);
/* What captures for the collector are taken from: before collector_sink_begin; without it the
 * sensor says that it cannot. It lives longer. `state` is that of the sink. */
void collector_sink_attach(void *state, struct pipeline *pipeline);
/* The input is open: whom the collector lists from now on sees packets. With waits_for_input, once;
 * `state` is that of the sink. Any thread. */
void collector_sink_begin(void *state);
/* Another hash from the next Hello on: after a reload. `state` is that of the sink. Any thread. */
void collector_sink_use_hash(void *state, const char *config_hash);

/* ---- settings that the collector offers (collector_sink_config.c); any thread ---- */

/* What became of them: told now, or when the stream is back, and again after each Welcome. */
void collector_sink_tell_config(void *state, const struct ingest_config_status *status);
struct collector_link {
    uint64_t welcomed_ns; /* monotonic: since then there is a stream; 0: there is none */
    uint64_t heard_ns;    /* when something came from the collector last */
};
void collector_sink_link(void *state, struct collector_link *out);
/* Has the collector answer, so that heard_ns moves while it is there. */
void collector_sink_ask(void *state);

/* Inside of a pipeline, shared by pipeline*.c alone. Threads: main, which starts and joins; what
 * others may read is atomic, or stands still once they run. */
#pragma once

#include <pthread.h>
#include <string.h>

#include "base/name_table.h"
#include "sensor/pipeline/handover.h"
#include "sensor/pipeline/pipeline.h"
#include "sensor/pipeline/reader.h"
#include "sensor/pipeline/unread_links.h"

struct shard_thread {
    struct pipeline *pipeline;
    uint32_t index;
    pthread_t thread;
    bool is_started;
};

struct pipeline {
    struct pipeline_settings settings;
    struct shard_outlet outlets[PUBLISHER_SHARDS_MAX];
    struct shard *shards[PUBLISHER_SHARDS_MAX];
    struct shard_thread threads[PUBLISHER_SHARDS_MAX];
    struct shard_thread reader_thread;
    struct flow_budget budget;
    struct publisher *publisher;
    struct reader *reader;     /* files */
    struct capture_live *live; /* interfaces */
    struct handover *handover; /* between several shards of these; else NULL */
    struct pcap_writer *pcap;
    pthread_mutex_t pcap_lock; /* servers may ask for figures while the end closes the file */
    struct pcap_writer_counts pcap_counts; /* after that */
    struct tap_set *taps;
    uint16_t first_link_type; /* of a file */
    struct counter packet_index;
    struct unread_links unread_links;
    _Atomic uint64_t era;         /* how often the clock of live capture was set back */
    struct counter live_count;    /* packets taken towards count_max */
    _Atomic uint64_t sketch_seed; /* of the seconds that begin */
    _Atomic(const struct detection_settings *) detection_now; /* likewise */
    _Atomic(const char *) config_hash;                        /* as told in statistics */
    uint64_t started_ns;
    uint64_t lost_told; /* lost packets at the last second's statistics */
    char file_name[48];
    struct name_table *names; /* of frame.interface */
    struct pipeline_health_counts health;
    atomic_bool stop, is_finished;
    int result;
    struct error fault;
};

static inline bool pipeline_is_live(const struct pipeline *pipeline)
{
    return pipeline->settings.capture.read_paths_count == 0;
}

static inline struct record_text pipeline_text(const char *text)
{
    return (struct record_text){text, text == NULL ? 0 : (uint32_t)strlen(text)};
}

/* pipeline_parts.c: opens the input and makes what stands behind it, once the settings are settled.
 * 0, or -errno with `err` (`warning`: what the input opened without); what was made until then is
 * pipeline_free's. */
MUST_USE int pipeline_make_parts(struct pipeline *pipeline, struct error *warning,
                                 struct error *err);

/* pipeline_pcap.c: the file keeps the input's link type and resolution; without a path nothing is
 * opened. 0, or -errno with `err`. */
MUST_USE int pipeline_pcap_open(struct pipeline *pipeline, struct error *err);
/* Closes the file, if there is one; its figures stay. 0, or -errno with `err` where packets that
 * were to be written are not. */
MUST_USE int pipeline_pcap_close(struct pipeline *pipeline, struct error *err);
/* The name of an interface as text, "" where it has none; on the thread of a writer or a capture.
 */
void pipeline_write_name(void *context, uint16_t interface, char *out, size_t capacity);
/* Ledger rows INTERFACE, KERNEL and CAPTURE; `decoded`: frames that the shards have counted, read
 * before. pipeline_capture.c */
uint32_t pipeline_input_ledger(struct pipeline *pipeline, uint64_t decoded,
                               struct stats_ledger_row *rows, uint32_t rows_max);
void pipeline_health_add(struct pipeline_health_counts *counts, const struct stats_record *record);
/* The publisher's fill_stats; pipeline_figures.c. */
void pipeline_fill_stats(void *context, struct stats_record *record);

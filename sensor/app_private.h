/* What the files of the wiring share; nobody else includes it. Depends on: everything. Threads:
 * main, but for the callbacks of the publisher. */
#pragma once

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/netlabel/netlabel.h"
#include "base/replacement.h"
#include "base/service/certificate_watch.h"
#include "base/service/control.h"
#include "proto/ingest_message.h"
#include "sensor/app.h"
#include "sensor/identity.h"
#include "sensor/loss_watch.h"
#include "sensor/progress.h"
#include "sensor/terminal.h"

#define EXIT_FAILED 1
#define EXIT_USAGE  2

struct app {
    const struct sensor_settings *settings; /* in force: a reload changes the hot ones */
    struct config *config;                  /* over them */
    const struct sensor_command *command;
    struct control control;
    struct app_reload *reload;
    struct app_apply *apply; /* NULL: no memory */
    struct app_offer *offer; /* likewise */
    struct loss_watch loss;
    struct certificate_watch certificates;
    struct pipeline_settings pipeline_settings;
    struct packet_rules rules;
    struct pcap_writer_settings write_pcap;
    struct pipeline *pipeline;
    struct terminal *terminal;
    struct rpc_runtime *runtime;
    struct grpc_server *grpc;
    struct http_export *http;
    struct ip_prefix *internal;
    char learnt_path[REPLACEMENT_PATH_BYTES];
    struct label_source *labels; /* NULL: there are none, and will be none */
    char sensor_id[SENSOR_ID_BYTES];
    char boot_id[33];
    char config_hash[17]; /* of the start: other threads may read it */
    void *collector;      /* the sink's state; NULL: none */
    char hash_now[17];    /* of the settings in force; main alone */
    char interface[64];
    FILE *human;
    struct alert_list *alerts; /* of a comparison; else NULL */
    struct progress progress;  /* on stderr, where it is a terminal */
    bool shows_progress;
    bool is_live;
    bool is_interface_down[STATS_ROWS_MAX];    /* as last told */
    int pcap_trouble;                          /* of the disk of the pcap files, as last told */
    bool is_service;                           /* live or paced: servers are on by default */
    uint64_t rounds[PUBLISHER_SHARDS_MAX + 1]; /* of its threads, as last seen by the watchdog */
    uint64_t status_due_ns;
};

/* ---- app_outputs.c ---- */

/* Each output has a path of its own, or the files would be mixed up without a word. `human` gets
 * where text for people goes: stdout is left alone when an output writes there. EINVAL with `err`.
 */
MUST_USE int app_check_outputs(const struct sensor_settings *settings, FILE **human,
                               struct error *err);
/* Warns of settings that are valid and do nothing: whoever sets them waits for something else. */
void app_tell_idle(const struct sensor_settings *settings);
/* No output is one of the capture files that are read: it would be lost before its first packet was
 * read. EINVAL with `err`. */
MUST_USE int app_check_inputs(const struct sensor_settings *settings, struct error *err);
void app_fill_pcap(const struct output_section *from, struct pcap_writer_settings *to);

/* ---- app_settings.c ---- */

/* Settings into `app->pipeline_settings`, but for the sinks. 0 or -errno. */
MUST_USE int app_fill_pipeline(struct app *app, const struct sensor_command *command,
                               struct error *err);
bool app_wants_dns_records(const struct sensor_settings *settings);
/* False: they are too many. */
MUST_USE bool app_fill_labels(const struct sensor_settings *settings,
                              char out[SENSOR_LABELS_BYTES]);

/* ---- app_networks.c ---- */

/* networks.internal, malloc'ed; NULL: the list is empty. 0 or -errno with `err`. */
MUST_USE int app_read_internal(const struct sensor_settings *settings, struct ip_prefix **out,
                               struct error *err);
/* Reads lines, file and databases. NULL with `err`, which names what is wrong. */
MUST_USE struct netlabels *app_read_labels(const struct sensor_settings *settings,
                                           struct error *err);
/* Makes app->labels, where there are labels or a reload may bring some. */
MUST_USE int app_open_labels(struct app *app, struct error *err);

/* ---- app_health.c ---- */

/* Watchdog and status; each round of main. */
void app_tell_manager(struct app *app, uint64_t now_ns);
/* SIGUSR1: the counters into the log. */
void app_note_counters(const struct app *app);
/* After the end: all packets that entered flows are told by the deltas of records, lost ones among
 * them. 0, or EPROTO with `err`. */
MUST_USE int app_check_sums(const struct app *app, struct error *err);

/* ---- app_reload.c ---- */

/* Answers SIGHUP and the requests of ConfigService. */
void app_reload(struct app *app);
void app_answer_control(struct app *app);
void app_reload_free(struct app *app);
/* Settings of `yaml` (NULL: the file): looked at, or put in force. */
void app_settings_run(struct app *app, const char *yaml, size_t length, bool does_apply,
                      struct reload_result *result);
/* Likewise with `yaml` of the collector over the file, which must change no locked setting. */
void app_settings_run_offer(struct app *app, const char *yaml, size_t length, bool does_apply,
                            struct reload_result *result);
/* Secrets that the last of them took over since its text did not name them. */
uint32_t app_settings_kept_secrets(const struct app *app);
/* The values of result->applied are in force in app->config: parts are told. */
void app_settings_changed(struct app *app, struct reload_result *result);

/* ---- app_apply.c ---- */

/* Settings by ConfigService.ApplyConfig: what must be confirmed and is not gives way to what was
 * before. */
void app_apply_begin(struct app *app);
void app_apply(struct app *app, struct control_request *request);
void app_confirm(struct app *app, struct control_request *request);
bool app_apply_is_pending(const struct app *app);
/* Each round of main. */
void app_apply_tick(struct app *app);
/* The file was read again and is in force. */
void app_apply_reloaded(struct app *app);
void app_apply_free(struct app *app);

/* What app_offer.c does likewise: `changed` is about to change, and there is something to go back
 * to until it is dropped. False: no memory, or something else waits to be confirmed. */
MUST_USE bool app_trial_begin(struct app *app, const struct reload_paths *changed);
void app_trial_go_back(struct app *app);
void app_trial_drop(struct app *app);
/* As many changes as one run takes are done. */
bool app_trial_is_spent(const struct app *app);

/* ---- app_offer.c ---- */

/* Settings that the collector offers. */
void app_offer_begin(struct app *app);
void app_offer_free(struct app *app);
/* Of the sink, on its thread; context is the app. */
void app_on_offer(void *context, const struct ingest_config_offer *offer);
void app_offer_take(struct app *app, struct control_request *request);
/* Each round of main. */
void app_offer_tick(struct app *app);
/* The file was read again and is in force alone. */
void app_offer_reloaded(struct app *app);
/* ---- app_locked.c ---- */

/* What the settings say of offers. 0 or -errno with file and line. */
MUST_USE int app_offer_check(const struct sensor_settings *settings, const struct config *config,
                             struct error *err);
/* What it must be besides: nothing locked is changed, the filter is one, the addresses are. */
MUST_USE int app_offer_judge(const struct sensor_settings *wanted, const struct config *candidate,
                             const struct config *alone, const struct config_list *locked,
                             struct error *err);

/* ---- app_loss.c ---- */

/* What is lost: usually, and since settings are on trial. Each round of main without a trial. */
void app_loss_note(struct app *app, uint64_t now_ns);
/* A trial is about to begin. */
void app_loss_begin(struct app *app);
/* The settings in force are others than those before, or those before again. */
void app_loss_reset(struct app *app);
/* True when more is lost on trial than before; `reason` says what. */
MUST_USE bool app_loss_is_worse(const struct app *app, char *reason, size_t size);

/* ---- app_kept.c ---- */

/* "": there is none. */
const char *app_state_directory(const struct sensor_settings *settings);
/* Keeps the settings for the next start, where collector.apply_config is file. 0 or -errno. */
MUST_USE int app_kept_write(const struct sensor_settings *settings, const char *id,
                            const char *yaml, struct error *err);
/* There are none any more. */
void app_kept_drop(const struct sensor_settings *settings);
/* The start with them was well: the next one has them, too. */
void app_kept_proved(const struct sensor_settings *settings);
/* The id of those that this run was started with. False: with none. */
MUST_USE bool app_kept_take(const struct sensor_command *command, char id[INGEST_OFFER_ID_BYTES]);

/* ---- app_parts.c ---- */

/* Names the sensor and the run: sensor_id, boot_id, config_hash, interface. 0 or -errno. */
MUST_USE int app_identify(struct app *app, struct error *err);
/* Opens sinks, servers and the pipeline, and starts it. 0 or -errno; app_take_down after both. */
MUST_USE int app_build(struct app *app, const struct sensor_command *command, struct error *err);
void app_take_down(struct app *app);

/* ---- app.c ---- */

/* Of the publisher; context is the app. */
void app_on_alert(void *context, const struct alert_record *alert);
void app_on_stats(void *context, const struct stats_record *record);
void app_on_line(void *context, const char *text, uint32_t length);

/* The live feed's inside: dictionary, ticks, subscriptions, frames. Everything under one lock. */
#pragma once

#include <pthread.h>

#include "collector-ui/api/api_private.h"
#include "collector-ui/api/sensor_site.h"

#define LIVE_TICKS        64 /* kept, so that frames can be merged over them */
#define LIVE_DICT_APPS    512
#define LIVE_DICT_SENSORS 4096
#define LIVE_DICT_SITES   512
#define LIVE_FLOWS_MAX    200
#define LIVE_SENT_MAX     256

enum live_dim { DIM_APP, DIM_SENSOR, DIM_SITE };
enum live_sort { SORT_BPS, SORT_BYTES, SORT_RTT, SORT_RETR };

struct subscription {
    bool totals, by, sensors, flows, alerts;
    enum live_dim dim;
    enum live_sort sort;
    uint32_t by_top, flows_top, ticks; /* one frame each so many ticks */
    char filter_text[2048];
    struct filter *filter; /* not part of the identity */
};

struct live_tick {
    uint64_t number, ts_ms;
    double win_ms;
    struct live_window *window;
    uint16_t *apps, *sensors; /* dictionary index of window->apps[i], ->sensors[i] */
    uint8_t *states;          /* of window->sensors[i]: 0 LIVE, 1 STALE, 2 OFFLINE */
    char **alerts;            /* as JSON */
    size_t *alert_bytes;
    char **notes; /* what people have said of each, as JSON; NULL: nothing */
    size_t *note_bytes;
    struct sensor_sites sites; /* of all sensors, where it was time to read them again */
    uint64_t said; /* another number whenever something was said of any alert; 0: nobody can */
};

struct live_dict {
    uint32_t rev;
    struct {
        char name[LIVE_NAME_BYTES];
        uint8_t slot;
    } apps[LIVE_DICT_APPS];
    uint32_t apps_count;
    struct live_dict_sensor {
        char id[129];
        uint16_t site; /* index of its site */
    } * sensors;
    uint32_t sensors_count;
    char sites[LIVE_DICT_SITES][SENSOR_LABEL_BYTES]; /* the first: none */
    uint32_t sites_count;
    uint8_t slots_used;
};

struct live_client {
    struct http_ws *ws;
    struct live_feed *feed;
    struct http_grant grant; /* of who opened it */
    bool is_subscribed, is_over;
    struct subscription sub;
    uint64_t seq, tick_sent, acked;
    uint64_t connected_ns;           /* wall clock */
    uint64_t sent_ns[LIVE_SENT_MAX]; /* by seq */
    uint32_t dict_rev;
};

struct live_feed {
    struct api *api;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    bool is_started, is_stopping;
    struct live_dict dict;
    struct live_tick ticks[LIVE_TICKS]; /* by number */
    uint64_t tick_number;               /* of the newest; 0: none yet */
    uint64_t sites_due_ns;              /* monotonic; its thread's */
    struct live_client **clients;
    uint32_t clients_count;
};

/* live_dict.c */
/* UINT16_MAX: no room. */
uint16_t live_dict_app(struct live_dict *dict, const char *name);
uint16_t live_dict_sensor(struct live_dict *dict, const char *sensor_id);
/* Where a sensor of the dictionary stands now. */
void live_dict_site(struct live_dict *dict, const char *sensor_id, const char *site);
void live_dict_write(const struct live_dict *dict, struct json_writer *out);

/* live_frame.c: members of a frame behind "merged", for the ticks (after, until]. */
void live_frame_write(struct live_feed *feed, const struct subscription *sub, uint64_t after,
                      uint64_t until, struct json_writer *out);

/* live_message.c */
void live_message(struct live_client *client, const char *text, size_t length);
/* live_tick.c; under the feed's lock but for live_tick_make, which takes long */
/* False: out of memory; the window comes with the next tick. */
MUST_USE bool live_tick_make(struct live_feed *feed, double win_ms, struct live_tick *tick);
/* Puts the tick's names into the dictionary, and their places in it into the tick. */
void live_tick_name(struct live_feed *feed, struct live_tick *tick);
void live_tick_fini(struct live_tick *tick);
/* live_feed.c; under the feed's lock but for live_bye */
/* False: its queue is full, or there is no memory. */
bool live_send(struct live_client *client, void (*write)(void *context, struct json_writer *out),
               void *context);
void live_send_frame(struct live_client *client, uint64_t after, uint64_t until, const char *body,
                     size_t body_bytes);
/* The dictionary, if it has changed since the client had it. False: as above. */
bool live_send_dict(struct live_client *client);
/* The last message, and then the connection ends with this code of RFC 6455. */
void live_bye(struct http_ws *ws, const char *reason, uint16_t code);
void live_first_frame(struct live_client *client);

/* What clients of the live feed say: sub, ack, ping. Called with the feed's lock. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "collector-ui/api/json_reader.h"
#include "collector-ui/api/live_private.h"

struct complaint {
    const char *code, *text;
    int64_t position;
    double ref;
    bool has_ref;
};

static void write_error(void *context, struct json_writer *out)
{
    const struct complaint *const c = context;
    json_object_begin(out);
    json_key(out, "t");
    json_text(out, "err");
    json_key(out, "code");
    json_text(out, c->code);
    json_key(out, "msg");
    json_text(out, c->text);
    json_key(out, "pos");
    if (c->position >= 0) {
        json_i64(out, c->position);
    } else {
        json_null(out);
    }
    json_key(out, "ref");
    if (c->has_ref) {
        json_double(out, c->ref);
    } else {
        json_null(out);
    }
    json_object_end(out);
}

static void complain(struct live_client *client, const struct json_value *id, const char *code,
                     const char *text, int64_t position)
{
    const bool has_ref = id != NULL && id->type == JSON_NUMBER;
    struct complaint c = {code, text, position, has_ref ? id->number : 0, has_ref};
    (void)live_send(client, write_error, &c);
}

static bool read_choice(const struct json_reader *r, const struct json_value *value,
                        const char *const *names, unsigned count, int *out)
{
    char text[32];
    if (value == NULL) {
        return true;
    }
    if (!json_string(r, value, text, sizeof text)) {
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (int)i;
            return true;
        }
    }
    return false;
}

static bool read_number(const struct json_value *value, uint32_t max, uint32_t *out)
{
    if (value == NULL) {
        return true;
    }
    if (value->type != JSON_NUMBER || !(value->number >= 1) || value->number > max) {
        return false;
    }
    *out = (uint32_t)value->number;
    return true;
}

static bool read_by(const struct json_reader *r, const struct json_value *by,
                    struct subscription *sub)
{
    static const char *const dims[] = {"app", "sensor", "site"};
    int dim = DIM_APP;
    sub->by_top = 7;
    sub->by = by != NULL;
    const bool ok = by == NULL || (read_choice(r, json_member(r, by, "dim"), dims, 3, &dim) &&
                                   read_number(json_member(r, by, "top"), 20, &sub->by_top));
    sub->dim = (enum live_dim)dim;
    return ok;
}

static bool read_flows(const struct json_reader *r, const struct json_value *flows,
                       struct subscription *sub)
{
    static const char *const sorts[] = {"bps", "bytes", "rtt", "retr"};
    int sort = SORT_BPS;
    sub->flows = flows != NULL;
    if (flows == NULL) {
        return true;
    }
    const struct json_value *const filter = json_member(r, flows, "filter");
    if (!read_choice(r, json_member(r, flows, "sort"), sorts, 4, &sort) ||
        !read_number(json_member(r, flows, "top"), LIVE_FLOWS_MAX, &sub->flows_top)) {
        return false;
    }
    sub->sort = (enum live_sort)sort;
    return filter == NULL || filter->type == JSON_NULL ||
           json_string(r, filter, sub->filter_text, sizeof sub->filter_text);
}

/* 0.2, 1, 4, 10, 30 a second, rounded down to what the tick allows. */
static uint32_t ticks_of(const struct live_feed *feed, double rate_hz)
{
    static const double rates[] = {30, 10, 4, 1, 0.2};
    const double tick_ms = (double)feed->api->settings.tick_ns / 1e6;
    double period_ms = 5000;
    for (unsigned i = 0; i < 5; i++) {
        if (rate_hz >= rates[i]) {
            period_ms = 1000 / rates[i];
            break;
        }
    }
    const uint32_t ticks = (uint32_t)(period_ms / tick_ms + 0.5);
    return ticks < 1 ? 1 : ticks > LIVE_TICKS / 2 ? LIVE_TICKS / 2 : ticks;
}

static void on_sub(struct live_client *client, const struct json_reader *r)
{
    const struct json_value *const all = &r->values[0];
    const struct json_value *const id = json_member(r, all, "id");
    const struct json_value *const rate = json_member(r, all, "rate_hz");
    const struct json_value *const topics = json_member(r, all, "topics");
    struct subscription sub = {.flows_top = (uint32_t)client->feed->api->settings.top_n};
    if (topics == NULL || topics->type != JSON_OBJECT ||
        (rate != NULL && (rate->type != JSON_NUMBER || !(rate->number > 0)))) {
        complain(client, id, "BAD_MESSAGE", "sub needs topics (an object) and a rate_hz above 0",
                 -1);
        return;
    }
    sub.totals = json_member(r, topics, "totals") != NULL;
    sub.sensors = json_member(r, topics, "sensors") != NULL;
    sub.alerts = json_member(r, topics, "alerts") != NULL;
    if (!read_by(r, json_member(r, topics, "by"), &sub)) {
        complain(client, id, "BAD_MESSAGE", "by: dim is app, sensor or site, top 1 to 20", -1);
        return;
    }
    if (!read_flows(r, json_member(r, topics, "flows"), &sub)) {
        complain(client, id, "BAD_MESSAGE",
                 "flows: top is 1 to 200, sort one of bps, bytes, rtt, retr, filter a text", -1);
        return;
    }
    if (sub.filter_text[0] != '\0') {
        struct error err = {0};
        uint32_t position = 0;
        sub.filter = filter_compile(sub.filter_text, strlen(sub.filter_text), &err, &position);
        if (sub.filter == NULL) {
            complain(client, id, "INVALID_FILTER", err.message, position);
            return;
        }
    }
    sub.ticks = ticks_of(client->feed, rate == NULL ? 1 : rate->number);
    filter_free(client->sub.filter);
    client->sub = sub;
    client->is_subscribed = true;
    client->seq = 0;
    client->acked = 0;
    live_first_frame(client);
}

struct pong {
    double id, c, r;
};

static void write_pong(void *context, struct json_writer *out)
{
    const struct pong *const p = context;
    json_object_begin(out);
    json_key(out, "t");
    json_text(out, "pong");
    json_key(out, "id");
    json_double(out, p->id);
    json_key(out, "c");
    json_double(out, p->c);
    json_key(out, "r");
    json_fixed(out, p->r, 3);
    json_key(out, "s");
    json_fixed(out, (double)clock_wall_ns() / 1e6, 3);
    json_object_end(out);
}

static double number_or(const struct json_value *value, double otherwise)
{
    return value != NULL && value->type == JSON_NUMBER ? value->number : otherwise;
}

void live_message(struct live_client *client, const char *text, size_t length)
{
    const double received_ms = (double)clock_wall_ns() / 1e6;
    struct json_reader *const r = malloc(sizeof *r);
    char kind[16] = "";
    if (r == NULL) {
        return;
    }
    if (!json_read(r, text, length) || r->values[0].type != JSON_OBJECT ||
        !json_string(r, json_member(r, &r->values[0], "t"), kind, sizeof kind)) {
        atomic_fetch_add(&client->feed->api->live_unknown, 1);
        complain(client, NULL, "BAD_MESSAGE", "expected one JSON object with a member t", -1);
    } else if (strcmp(kind, "sub") == 0) {
        on_sub(client, r);
    } else if (strcmp(kind, "ack") == 0) {
        const double seq = number_or(json_member(r, &r->values[0], "seq"), 0);
        if (seq > (double)client->acked && seq <= (double)client->seq) {
            client->acked = (uint64_t)seq;
        }
    } else if (strcmp(kind, "ping") == 0) {
        struct pong pong = {number_or(json_member(r, &r->values[0], "id"), 0),
                            number_or(json_member(r, &r->values[0], "c"), 0), received_ms};
        (void)live_send(client, write_pong, &pong);
    } else {
        atomic_fetch_add(&client->feed->api->live_unknown, 1);
    }
    free(r);
}

#include "tests/unit/detection/scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/hash.h"

#define TCP         6
#define UDP         17
#define ICMP        1
#define SHARDS_MAX  16
#define WIRE_BYTES  (256U << 10)
#define FRAME_BYTES 64

struct detection_settings scene_settings;

static struct {
    uint32_t count, capacity;
    struct detection_fact *facts;
    char (*names)[DETECTION_NAME_MAX];
    uint16_t next_port;
    uint32_t losses_count;
    struct {
        uint64_t second;
        struct detection_second costs;
    } losses[256];
} script;

static struct scene_alerts runs[2];
static unsigned run;

/* ---- settings ---- */

int scene_begin(void **state)
{
    struct error err = {0};

    (void)state;
    if (detection_settings_default(&scene_settings, &err) != 0) {
        print_error("%s\n", err.message);
        return 1;
    }
    for (uint32_t i = 0; i < scene_settings.detectors_count; i++) {
        scene_settings.rules[i].mode = DETECTOR_ALERT;
    }
    scene_clear();
    return 0;
}

void scene_only(const char *detector)
{
    for (uint32_t i = 0; i < scene_settings.detectors_count; i++) {
        scene_settings.rules[i].enabled = false;
    }
    assert_non_null(detection_rules(&scene_settings, detector));
    detection_rules(&scene_settings, detector)->enabled = true;
}

void scene_clear(void)
{
    script.count = script.losses_count = 0;
    script.next_port = 32768;
}

/* ---- facts ---- */

struct ip_address scene_ip(uint32_t v4)
{
    return (struct ip_address){
        .bytes = {(uint8_t)(v4 >> 24), (uint8_t)(v4 >> 16), (uint8_t)(v4 >> 8), (uint8_t)v4},
        .version = 4};
}

uint64_t scene_ns(uint64_t at_ms)
{
    return SCENE_START * NS_PER_SEC + at_ms * NS_PER_MS;
}

void scene_add(const struct detection_fact *fact)
{
    if (script.count == script.capacity) {
        script.capacity = script.capacity == 0 ? 4096 : 2 * script.capacity;
        script.facts = realloc(script.facts, script.capacity * sizeof(*script.facts));
        script.names = realloc(script.names, script.capacity * sizeof(*script.names));
        assert_non_null(script.facts);
        assert_non_null(script.names);
    }
    const uint32_t length =
        fact->name.length < DETECTION_NAME_MAX ? fact->name.length : DETECTION_NAME_MAX - 1;

    script.facts[script.count] = *fact;
    script.facts[script.count].name = (struct record_text){NULL, length};
    if (length > 0) {
        memcpy(script.names[script.count], fact->name.data, length);
    }
    /* The name's place, until the order is known. */
    script.facts[script.count].segments += (uint64_t)script.count << 32;
    script.count++;
}

static uint16_t own_port(void)
{
    script.next_port = script.next_port == UINT16_MAX ? 32768 : (uint16_t)(script.next_port + 1);
    return script.next_port;
}

static struct detection_fact fact_of(enum detection_event event, uint8_t protocol, uint32_t client,
                                     uint16_t client_port, uint32_t server, uint16_t port,
                                     uint64_t at_ms)
{
    return (struct detection_fact){.event = (uint8_t)event,
                                   .protocol = protocol,
                                   .source = scene_ip(client),
                                   .target = scene_ip(server),
                                   .source_port = client_port,
                                   .target_port = port,
                                   .first_ns = scene_ns(at_ms),
                                   .time_ns = scene_ns(at_ms)};
}

static void add(enum detection_event event, uint8_t protocol, uint32_t client, uint16_t client_port,
                uint32_t server, uint16_t port, uint64_t at_ms)
{
    const struct detection_fact fact =
        fact_of(event, protocol, client, client_port, server, port, at_ms);

    scene_add(&fact);
}

static void fill_volume(struct detection_fact *fact, uint64_t up, uint64_t down)
{
    fact->payload_bytes[0] = up;
    fact->payload_bytes[1] = down;
    fact->packets[0] = 1 + up / 1400;
    fact->packets[1] = 1 + down / 1400;
    fact->bytes[0] = up + fact->packets[0] * FRAME_BYTES;
    fact->bytes[1] = down + fact->packets[1] * FRAME_BYTES;
}

void scene_connect(const struct scene_connection *c)
{
    const uint16_t client_port = c->client_port != 0 ? c->client_port : own_port();
    const uint64_t seconds = c->lasts_ms / 1000 + 1;

    add(DETECTION_SYN, TCP, c->client, client_port, c->server, c->port, c->at_ms);
    add(DETECTION_SYN_ACK, TCP, c->client, client_port, c->server, c->port, c->at_ms + 10);
    add(DETECTION_ESTABLISHED, TCP, c->client, client_port, c->server, c->port, c->at_ms + 20);
    struct detection_fact fact =
        fact_of(DETECTION_VOLUME, TCP, c->client, client_port, c->server, c->port, c->at_ms);

    fact.service = c->service;
    fact.is_source_internal = c->is_client_internal;
    fact.is_target_internal = c->is_server_internal;
    for (uint64_t i = 0; i < seconds; i++) {
        fact.time_ns = scene_ns(c->at_ms + (i + 1 == seconds ? c->lasts_ms : i * 1000 + 500));
        fill_volume(&fact, c->up / seconds, c->down / seconds);
        scene_add(&fact);
    }
    fact.event = DETECTION_CLOSE;
    fact.time_ns = scene_ns(c->at_ms + c->lasts_ms);
    fact.code = c->server_closes ? 2 : 1;
    fact.is_answered = true;
    fill_volume(&fact, c->up, c->down);
    scene_add(&fact);
    fact.event = DETECTION_END;
    fact.code = 0;
    scene_add(&fact);
}

void scene_syn(uint32_t client, uint32_t server, uint16_t port, uint64_t at_ms)
{
    const uint16_t client_port = own_port();
    struct detection_fact fact =
        fact_of(DETECTION_VOLUME, TCP, client, client_port, server, port, at_ms);

    add(DETECTION_SYN, TCP, client, client_port, server, port, at_ms);
    fact.packets[0] = 1;
    fact.bytes[0] = FRAME_BYTES;
    scene_add(&fact);
}

void scene_udp(uint32_t client, uint16_t client_port, uint32_t server, uint16_t port,
               uint64_t at_ms, uint64_t packets_up, uint64_t packets_down, uint64_t bytes_each)
{
    struct detection_fact fact =
        fact_of(DETECTION_VOLUME, UDP, client, client_port, server, port, at_ms);

    add(DETECTION_PROBE, UDP, client, client_port, server, port, at_ms);
    if (packets_down > 0) {
        add(DETECTION_SYN_ACK, UDP, client, client_port, server, port, at_ms + 5);
    }
    fact.packets[0] = packets_up;
    fact.packets[1] = packets_down;
    fact.bytes[0] = packets_up * bytes_each;
    fact.bytes[1] = packets_down * bytes_each;
    scene_add(&fact);
}

void scene_ping(uint32_t client, uint32_t server, uint64_t at_ms, bool is_answered)
{
    struct detection_fact fact = fact_of(DETECTION_ECHO, ICMP, client, 0, server, 0, at_ms);

    scene_add(&fact);
    if (is_answered) {
        fact.is_answered = true;
        fact.time_ns = scene_ns(at_ms + 3);
        scene_add(&fact);
    }
    fact = fact_of(DETECTION_VOLUME, ICMP, client, 0, server, 0, at_ms);
    fact.packets[0] = 1;
    fact.packets[1] = is_answered;
    fact.bytes[0] = 98;
    fact.bytes[1] = is_answered ? 98 : 0;
    scene_add(&fact);
}

void scene_arp(uint32_t asker, uint32_t asked, uint64_t at_ms, bool is_answered)
{
    struct detection_fact fact = fact_of(DETECTION_ARP, 0, asker, 0, asked, 0, at_ms);

    fact.type = 4;
    fact.mac[0] = 2;
    memcpy(fact.mac + 2, fact.source.bytes, 4);
    scene_add(&fact);
    if (is_answered) {
        fact = fact_of(DETECTION_ARP, 0, asked, 0, asker, 0, at_ms + 1);
        fact.type = 4;
        fact.is_answered = true;
        fact.mac[0] = 2;
        memcpy(fact.mac + 2, fact.source.bytes, 4);
        scene_add(&fact);
    }
}

void scene_loss(uint64_t at_ms, uint64_t packets, uint64_t lost)
{
    assert_true(script.losses_count < sizeof(script.losses) / sizeof(script.losses[0]));
    script.losses[script.losses_count].second = scene_ns(at_ms) / NS_PER_SEC;
    script.losses[script.losses_count++].costs =
        (struct detection_second){.packets = packets, .lost_packets = lost};
}

static struct detection_second costs_of(uint64_t second)
{
    for (uint32_t i = 0; i < script.losses_count; i++) {
        if (script.losses[i].second == second) {
            return script.losses[i].costs;
        }
    }
    return (struct detection_second){.packets = 1000};
}

void scene_dns(uint32_t client, uint32_t server, const char *name, uint16_t type, uint16_t rcode,
               uint64_t at_ms, uint64_t query_bytes, uint64_t response_bytes)
{
    struct detection_fact fact = fact_of(DETECTION_DNS, UDP, client, own_port(), server, 53, at_ms);

    fact.service = DETECTION_SERVICE_DNS;
    fact.name = (struct record_text){name, (uint32_t)strlen(name)};
    fact.type = type;
    fact.code = rcode;
    fact.is_answered = true;
    fact.payload_bytes[0] = query_bytes;
    fact.payload_bytes[1] = response_bytes;
    scene_add(&fact);
}

/* ---- look-alikes ---- */

void scene_cdn_fan_out(uint64_t seconds)
{
    for (uint64_t second = 0; second < seconds; second++) {
        for (uint32_t i = 0; i < 40; i++) {
            scene_connect(&(struct scene_connection){
                .client = 0x0a000014,
                .server = 0x97650000 + (uint32_t)(hash_mix(second * 40 + i) % 600),
                .port = 443,
                .at_ms = second * 1000 + i * 20,
                .lasts_ms = 2500,
                .up = 2000,
                .down = 60000,
                .service = DETECTION_SERVICE_TLS,
                .is_client_internal = true});
        }
    }
}

void scene_nat_gateway(uint64_t seconds)
{
    for (uint64_t at = 0; at < seconds * 1000; at += 8) {
        const uint64_t dice = hash_mix(at + 77);

        scene_connect(&(struct scene_connection){.client = 0xc6336401,
                                                 .server = 0xcb007100 + (uint32_t)(dice % 900),
                                                 .port = (dice >> 20) % 4 == 0 ? 80 : 443,
                                                 .at_ms = at,
                                                 .lasts_ms = 300 + (dice >> 30) % 4000,
                                                 .up = 1500 + (dice >> 40) % 20000,
                                                 .down = 5000 + (dice >> 44) % 300000});
        if (dice % 50 == 0) { /* what is down is tried now and then */
            scene_syn(0xc6336401, 0xcb007f00 + (uint32_t)(dice >> 8) % 5, 443, at);
        }
    }
}

void scene_resolver(uint64_t seconds)
{
    static const char *const letters = "abcdefghijklmnopqrstuvwxyz";

    for (uint64_t at = 0; at < seconds * 1000; at += 10) {
        const uint64_t dice = hash_mix(at + 5);
        const uint32_t client = 0x0a000100 + (uint32_t)(dice % 100);
        char name[64];

        (void)snprintf(name, sizeof(name), "www.%c%c%c%c-shop%u.example", letters[dice % 26],
                       letters[dice >> 5 & 15], letters[dice >> 9 & 15], letters[dice >> 13 & 15],
                       (unsigned)(dice >> 17 & 63));
        scene_dns(client, 0x0a000035, name, 1, (dice >> 40) % 12 == 0 ? 3 : 0, at, 40, 120);
        scene_udp(0x0a000035, own_port(), 0xc6290000 + (uint32_t)(dice % 400), 53, at, 1, 1, 140);
    }
}

void scene_monitoring(uint64_t seconds)
{
    for (uint64_t second = 0; second < seconds; second += 10) {
        for (uint32_t i = 0; i < 60; i++) {
            const uint64_t at = second * 1000 + i * 30;
            const bool is_down = i == 7 || i == 31;

            scene_ping(0x0a0000fa, 0x0a000200 + i, at, !is_down);
            scene_arp(0x0a0000fa, 0x0a000200 + i, at, !is_down);
            if (is_down) {
                scene_syn(0x0a0000fa, 0x0a000200 + i, 22, at);
            } else {
                scene_connect(&(struct scene_connection){.client = 0x0a0000fa,
                                                         .server = 0x0a000200 + i,
                                                         .port = 80,
                                                         .at_ms = at,
                                                         .lasts_ms = 40,
                                                         .up = 90,
                                                         .down = 400,
                                                         .service = DETECTION_SERVICE_HTTP,
                                                         .is_client_internal = true,
                                                         .is_server_internal = true});
            }
        }
    }
}

void scene_backup(uint64_t seconds)
{
    scene_connect(&(struct scene_connection){.client = 0x0a000030,
                                             .server = 0x0a000031,
                                             .port = 873,
                                             .at_ms = 100,
                                             .lasts_ms = seconds * 1000 - 200,
                                             .up = seconds * 40000000,
                                             .down = seconds * 400000,
                                             .is_client_internal = true,
                                             .is_server_internal = true});
}

void scene_benign(uint64_t seconds)
{
    scene_cdn_fan_out(seconds);
    scene_nat_gateway(seconds);
    scene_resolver(seconds);
    scene_monitoring(seconds);
    scene_backup(seconds);
}

/* ---- playing ---- */

static int by_time(const void *a, const void *b)
{
    const struct detection_fact *left = a;
    const struct detection_fact *right = b;

    if (left->time_ns != right->time_ns) {
        return left->time_ns < right->time_ns ? -1 : 1;
    }
    return left->segments >> 32 < right->segments >> 32 ? -1 : 1;
}

static void keep(void *context, const struct alert_record *alert, uint64_t origins)
{
    struct scene_alerts *out = context;

    assert_true(out->count < SCENE_ALERTS_MAX);
    out->origins[out->count] = origins;
    out->alerts[out->count++] = *alert;
}

/* Both directions and all facts of a flow are seen by one shard. */
static unsigned place_of(const struct detection_fact *fact, unsigned count)
{
    const struct hash_key key = {7, count};
    uint8_t bytes[42] = {0};

    memcpy(bytes, &fact->source, sizeof(fact->source));
    memcpy(bytes + 17, &fact->target, sizeof(fact->target));
    memcpy(bytes + 34, &fact->source_port, 2);
    memcpy(bytes + 36, &fact->target_port, 2);
    bytes[38] = fact->protocol;
    return (unsigned)(hash_bytes(key, bytes, sizeof(bytes)) % count);
}

static void add_fact(struct detection_frame *frame, const struct detection_fact *from)
{
    struct detection_fact fact = *from;

    fact.name.data = script.names[from->segments >> 32];
    fact.segments &= UINT32_MAX;
    detection_frame_add(frame, &fact);
}

struct stage {
    struct detection_frame *frames[SHARDS_MAX];
    unsigned count;
};

static void open_stage(struct stage *stage, unsigned count)
{
    struct error err = {0};

    assert_true(count <= SHARDS_MAX);
    stage->count = count;
    for (unsigned i = 0; i < count; i++) {
        stage->frames[i] = detection_frame_new(&scene_settings, &err);
        assert_non_null(stage->frames[i]);
    }
}

/* Feeds the second that begins at fact `at`; returns the first fact behind it. */
static uint32_t feed_second(struct stage *stage, uint32_t at)
{
    const uint64_t second = script.facts[at].time_ns / NS_PER_SEC;

    for (unsigned i = 0; i < stage->count; i++) {
        detection_frame_reset(stage->frames[i], second, scene_settings.seed);
    }
    for (; at < script.count && script.facts[at].time_ns / NS_PER_SEC == second; at++) {
        const struct detection_fact *fact = &script.facts[at];

        add_fact(stage->frames[place_of(fact, stage->count)], fact);
    }
    return at;
}

static void merge_sensors(struct stage *stage, struct detection_frame *merged, uint8_t *wire)
{
    for (unsigned i = 0; i < stage->count; i++) {
        const size_t length = detection_frame_write(stage->frames[i], wire, WIRE_BYTES);

        assert_true(length > 0);
        assert_true(detection_frame_read(merged, wire, length, i));
    }
}

static const struct scene_alerts *play(unsigned parts, bool is_by_wire)
{
    struct error err = {0};
    AUTO(detection_frame) merged = detection_frame_new(&scene_settings, &err);
    AUTO(detection) detection = detection_new(&scene_settings, &err);
    uint8_t *wire = malloc(WIRE_BYTES);
    struct scene_alerts *out = &runs[run++ % 2];
    uint64_t second = SCENE_START;
    struct stage stage;

    assert_non_null(merged);
    assert_non_null(detection);
    assert_non_null(wire);
    open_stage(&stage, parts);
    out->count = 0;
    qsort(script.facts, script.count, sizeof(*script.facts), by_time);
    for (uint32_t at = 0; at < script.count;) {
        second = script.facts[at].time_ns / NS_PER_SEC;
        at = feed_second(&stage, at);
        detection_frame_reset(merged, second, scene_settings.seed);
        if (is_by_wire) {
            merge_sensors(&stage, merged, wire);
        } else {
            for (unsigned i = 0; i < parts; i++) {
                assert_true(detection_frame_merge(merged, stage.frames[parts - 1 - i]));
            }
        }
        const struct detection_second costs = costs_of(second);

        detection_decide(detection, merged, &costs, keep, out);
    }
    detection_finish(detection, (second + 1) * NS_PER_SEC, keep, out);
    for (unsigned i = 0; i < parts; i++) {
        detection_frame_free(stage.frames[i]);
    }
    free(wire);
    return out;
}

const struct scene_alerts *scene_play(unsigned shards)
{
    return play(shards, false);
}

const struct scene_alerts *scene_play_split(unsigned sensors)
{
    return play(sensors, true);
}

unsigned scene_count(const struct scene_alerts *alerts, enum alert_kind kind,
                     enum alert_state state)
{
    unsigned count = 0;

    for (uint32_t i = 0; i < alerts->count; i++) {
        count += alerts->alerts[i].kind == kind && alerts->alerts[i].state == state;
    }
    return count;
}

const struct alert_record *scene_first(const struct scene_alerts *alerts, enum alert_kind kind)
{
    for (uint32_t i = 0; i < alerts->count; i++) {
        if (alerts->alerts[i].kind == kind) {
            return &alerts->alerts[i];
        }
    }
    return NULL;
}

static bool same_items(const struct alert_evidence_item *a, uint8_t a_count,
                       const struct alert_evidence_item *b, uint8_t b_count)
{
    for (uint8_t i = 0; i < a_count && a_count == b_count; i++) {
        if (a[i].count != b[i].count || strcmp(a[i].key, b[i].key) != 0) {
            return false;
        }
    }
    return a_count == b_count;
}

static bool same_alert(const struct alert_record *a, const struct alert_record *b)
{
    return a->kind == b->kind && a->state == b->state && a->severity == b->severity &&
           a->close_reason == b->close_reason && a->first_ns == b->first_ns &&
           a->last_ns == b->last_ns && a->observed == b->observed &&
           a->suppressed_count == b->suppressed_count && strcmp(a->alert_id, b->alert_id) == 0 &&
           strcmp(a->description, b->description) == 0 &&
           same_items(a->top_sources, a->top_sources_count, b->top_sources, b->top_sources_count) &&
           same_items(a->top_targets, a->top_targets_count, b->top_targets, b->top_targets_count) &&
           same_items(a->top_ports, a->top_ports_count, b->top_ports, b->top_ports_count) &&
           same_items(a->top_names, a->top_names_count, b->top_names, b->top_names_count);
}

static void expect_same(const struct scene_alerts *whole, const struct scene_alerts *parts,
                        const char *what, unsigned count)
{
    for (uint32_t i = 0; i < whole->count || i < parts->count; i++) {
        if (i >= whole->count || i >= parts->count ||
            !same_alert(&whole->alerts[i], &parts->alerts[i])) {
            print_error("%u %s: alert %u of %u\n  %s\none shard: of %u\n  %s\n", count, what, i,
                        parts->count, i < parts->count ? parts->alerts[i].description : "-",
                        whole->count, i < whole->count ? whole->alerts[i].description : "-");
            fail();
        }
    }
}

const struct scene_alerts *scene_play_everywhere(void)
{
    static const unsigned shards[] = {2, 4, 16};
    static const unsigned sensors[] = {2, 3, 5};
    static struct scene_alerts whole;

    whole = *scene_play(1);
    for (unsigned i = 0; i < 3; i++) {
        expect_same(&whole, scene_play(shards[i]), "shards", shards[i]);
        expect_same(&whole, scene_play_split(sensors[i]), "sensors", sensors[i]);
    }
    return &whole;
}

void scene_expect_silence(void)
{
    static const unsigned shards[] = {1, 4};

    for (unsigned i = 0; i < 2; i++) {
        const struct scene_alerts *alerts = scene_play(shards[i]);

        if (alerts->count > 0) {
            print_error("%u shards: %s\n", shards[i], alerts->alerts[0].description);
            fail();
        }
    }
}

/* Traffic as facts, for the tests of detectors: conversations, attacks and look-alikes, played over
 * any number of shards and sensors on packet time.
 *
 * Each detector has three tests: an attack, the same just below the level, and a benign look-alike.
 * Depends on: detection, cmocka. Threads: one. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "detection/detection.h"

#define SCENE_ALERTS_MAX 256
#define SCENE_START      UINT64_C(1700000000) /* seconds; all times below count from here */

struct scene_alerts {
    uint32_t count;
    struct alert_record alerts[SCENE_ALERTS_MAX];
    uint64_t origins[SCENE_ALERTS_MAX];
};

/* Changed by a test after scene_begin. */
extern struct detection_settings scene_settings;

/* The defaults with every detector on and in mode alert, and no traffic: for cmocka's setup. */
int scene_begin(void **state);
/* No detector but this one (and port_scan's help for syn_flood is gone too). */
void scene_only(const char *detector);
void scene_clear(void); /* no traffic */

struct ip_address scene_ip(uint32_t v4);
uint64_t scene_ns(uint64_t at_ms);
/* Any fact; its time_ns is absolute (scene_ns). Order does not matter. */
void scene_add(const struct detection_fact *fact);

/* ---- traffic ---- */

struct scene_connection {
    uint32_t client, server; /* IPv4 */
    uint16_t client_port;    /* 0: one of its own */
    uint16_t port;
    uint64_t at_ms, lasts_ms;
    uint64_t up, down; /* payload bytes, spread evenly */
    uint8_t service;   /* enum detection_service */
    bool is_client_internal, is_server_internal;
    bool server_closes;
};
/* A TCP connection that is answered and closed. */
void scene_connect(const struct scene_connection *connection);
/* A SYN without an answer. */
void scene_syn(uint32_t client, uint32_t server, uint16_t port, uint64_t at_ms);
/* A UDP flow of one second with packets each way; answered if `packets_down` > 0. */
void scene_udp(uint32_t client, uint16_t client_port, uint32_t server, uint16_t port,
               uint64_t at_ms, uint64_t packets_up, uint64_t packets_down, uint64_t bytes_each);
void scene_ping(uint32_t client, uint32_t server, uint64_t at_ms, bool is_answered);
void scene_arp(uint32_t asker, uint32_t asked, uint64_t at_ms, bool is_answered);
/* What the second at `at_ms` cost; without: 1000 packets and none lost. */
void scene_loss(uint64_t at_ms, uint64_t packets, uint64_t lost);
void scene_dns(uint32_t client, uint32_t server, const char *name, uint16_t type, uint16_t rcode,
               uint64_t at_ms, uint64_t query_bytes, uint64_t response_bytes);

/* ---- look-alikes: benign traffic of `seconds` that comes near ---- */

/* A browser opens hundreds of connections to hundreds of servers of a CDN. */
void scene_cdn_fan_out(uint64_t seconds);
/* An office behind one address: many ports and servers, all answered. */
void scene_nat_gateway(uint64_t seconds);
/* A resolver: many clients, many servers, names that exist and some that do not. */
void scene_resolver(uint64_t seconds);
/* A monitor: pings and connects to many hosts each ten seconds, two of them down. */
void scene_monitoring(uint64_t seconds);
/* A backup: hours of upload to one known server. */
void scene_backup(uint64_t seconds);
/* All of them. */
void scene_benign(uint64_t seconds);

/* ---- playing ---- */

/* As one sensor with so many shards. Borrowed until the play after the next. */
const struct scene_alerts *scene_play(unsigned shards);
/* Flows dealt over sensors (each with two shards), frames written, read and merged; decided in the
 * scope of scene_settings. */
const struct scene_alerts *scene_play_split(unsigned sensors);
unsigned scene_count(const struct scene_alerts *alerts, enum alert_kind kind,
                     enum alert_state state);
/* The first of that kind, or NULL. */
const struct alert_record *scene_first(const struct scene_alerts *alerts, enum alert_kind kind);
/* Plays with 1, 2, 4 and 16 shards and over 2, 3 and 5 sensors: the same alerts, or the test fails.
 * Returns those of one shard. */
const struct scene_alerts *scene_play_everywhere(void);
/* Fails unless nothing is raised, whatever the number of shards. */
void scene_expect_silence(void);

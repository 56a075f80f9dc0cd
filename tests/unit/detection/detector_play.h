/* Plays facts to one detector and gives its alerts: dealt over 1, 2, 4 and 16 frames, which must
 * make no difference. Not thread-safe. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "detection/detection.h"

#define PLAY_START UINT64_C(1700000000) /* the second where time 0 is */

/* Forgets all facts; from now on the detector of that name alone is on, in mode alert and with its
 * defaults, which the caller may change. */
struct detector_rules *play_only(const char *detector);

/* 10.0.0.0 + number. */
struct ip_address play_ip(uint32_t number);
struct record_text play_text(const char *text);
/* A fact at `at_ms` for the caller to fill further; facts come in order of time. Times and
 * addresses are set: source and target 10.0.0.x, TCP. */
struct detection_fact *play_fact(enum detection_event event, uint32_t source, uint32_t target,
                                 uint16_t port, uint64_t at_ms);
/* Packets lost in the second at `at_ms`, of `packets`. */
void play_loss(uint64_t at_ms, uint64_t packets, uint64_t lost);

struct play_alerts {
    uint32_t count;
    struct alert_record alerts[64];
};

/* The alerts of all facts and `silent_ms` behind them; lives until the next call. Fails the test
 * when a number of frames changes anything. */
const struct play_alerts *play(uint64_t silent_ms);
/* How many OPEN of this kind. */
unsigned play_opened(const struct play_alerts *alerts, enum alert_kind kind);
/* The first OPEN; fails the test when there is none. */
const struct alert_record *play_first(const struct play_alerts *alerts);

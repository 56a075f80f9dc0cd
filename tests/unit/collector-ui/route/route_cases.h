/* What the tests of collector-ui/route begin with: settings as a file of two lines gives them, an
 * alert, a directory. Depends on: cmocka, collector-ui/route. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "collector-ui/route/route.h"
#include "proto/record.h"

#define CASE_START_NS (UINT64_C(1767323045) * UINT64_C(1000000000)) /* 2026-01-02T03:04:05Z */

/* The defaults of the section `receivers.NAME`. */
struct route_receiver_settings case_settings(const char *url);

/* An open SYN flood of severity high, of sensor "edge-1"; `number` is in its alert_id. */
void case_alert(struct alert_record *out, unsigned number);
void case_alert_id(unsigned number, char out[37]);
/* As it comes into the store; bytes in `out` (ROUTE_RECORD_BYTES_MAX). */
size_t case_encode(const struct alert_record *alert, uint8_t *out);

/* Setup and teardown: a directory of the test's own, and all that is in it. */
extern char case_directory[64];
int case_directory_make(void **state);
int case_directory_remove(void **state);
/* The path of `name` there; static, four at a time. */
const char *case_path(const char *name);
void case_write(const char *path, const char *text, unsigned mode);

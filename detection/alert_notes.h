/* What an operator wants to stand in alerts: where to read what to do (runbook_url), and labels.
 *
 * Lines of the settings: "KIND URL" with {kind}, {severity} and {alert_id} in it, and "KIND
 * key=value ..."; KIND is a name such as syn_flood, or * for all. A kind's own URL counts more than
 * that of *, and its label more than one of * with the same key. Depends on: base, base/config,
 * proto/record_alert.h. Threads: constant once made. */
#pragma once

#include <stdint.h>

#include "base/attributes.h"
#include "base/config/config.h"
#include "base/error.h"
#include "proto/record_alert.h"

struct alert_notes {
    char runbooks[ALERT_KIND_COUNT][ALERT_URL_BYTES]; /* "": none */
    struct alert_label labels[ALERT_KIND_COUNT][ALERT_LABELS_MAX];
    uint8_t labels_count[ALERT_KIND_COUNT];
};

#define ALERT_NOTES_LINES_MAX 64 /* of each list */

/* -EINVAL with `err`, which quotes the line and says what is wrong with it: no such kind, a URL
 * that is none of http or https, a placeholder that there is not, too many labels. */
MUST_USE int alert_notes_runbooks(struct alert_notes *notes, const struct config_list *lines,
                                  struct error *err);
MUST_USE int alert_notes_labels(struct alert_notes *notes, const struct config_list *lines,
                                struct error *err);
/* Writes runbook_url and labels into the alert, in place of those that it has. */
void alert_notes_put(const struct alert_notes *notes, struct alert_record *alert);

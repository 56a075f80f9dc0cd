/* What a call of AlertService wants changed, on its way to the query threads: fleet_triage.c
 * acknowledges, fleet_silences.c silences. Depends on: fleet_private.h, triage. */
#pragma once

#include "collector-ui/api/fleet_private.h"

#define WISH_DETAIL_BYTES 480 /* of a line in the audit */

struct fleet_wish {
    char who[TRIAGE_WHO_BYTES], peer[RPC_PEER_BYTES];
    char text[TRIAGE_TEXT_BYTES]; /* a comment */
    struct triage_silence silence;
    bool is_undo, is_dry;
    uint32_t count;
    struct fleet_wish_alert {
        struct triage_seen seen;
        bool is_found;
        struct history_bytes record; /* borrowed */
    } alerts[];                      /* in order of the id */
};

/* False: refused, since nothing is kept here. */
bool fleet_can_change(struct grpc_ask *ask);
/* A job with a wish for `count` alerts and who wishes it; NULL: refused. */
struct fleet_job *fleet_wish_job(struct grpc_ask *ask, size_t count,
                                 void (*run)(struct fleet_job *job));
/* Refuses by what triage has said (-errno with `err`); notes it in the audit. */
void fleet_wish_refuse(struct fleet_job *job, int result, const struct error *err);
/* Notes in the audit that it is done. */
void fleet_wish_note(const struct fleet_job *job, const char *detail);

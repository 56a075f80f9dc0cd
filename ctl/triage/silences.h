/* Silences as text. Private to ctl/triage. Depends on: ctl. Threads: main. */
#pragma once

#include "ctl/message.h"
#include "ctl/show.h"

/* "syn_flood of 10.0.0.0/8 at edge-*, no worse than medium"; "anything": it chooses nothing. */
void silence_show_choice(struct show *show, const struct view *silence);

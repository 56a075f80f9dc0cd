/* What an answer of the collector does not have, in plain words on standard error.
 *
 * Depends on: ctl/message, ctl/output. Threads: main. */
#pragma once

#include <stdbool.h>

#include "ctl/message.h"

/* `answer`: one of QueryService. `is_since_given`: somebody wants to know that the history begins
 * later than what they asked for. */
void coverage_tell(const struct view *answer, bool is_since_given);

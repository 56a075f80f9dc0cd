/* What a reader did not get, in plain words on standard error. Depends on: ctl/message. */
#pragma once

#include <stdint.h>

#include "ctl/message.h"

/* A LossNotice; returns how many records it tells of. `what`: "flow records". */
uint64_t loss_tell(const struct view *loss, const char *what);
/* A NodeStatus: news of a sensor. */
void loss_tell_node(const struct view *node);

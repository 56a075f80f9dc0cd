/* Private to ctl/history: the service map as a drawing. */
#pragma once

#include "ctl/message.h"
#include "ctl/output.h"

/* Graphviz (DOT): nodes by their ids, edges as thick as their traffic, red where flows fail. */
void map_put_dot(struct output *out, const struct view *answer);

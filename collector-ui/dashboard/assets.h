/* The built dashboard, compiled into the program: hand it to base/http as the table of assets.
 *
 * Constant data. Depends on: base. Any thread. */
#pragma once

#include <stddef.h>

#include "base/asset.h"

extern const struct http_asset dashboard_assets[];
extern const size_t dashboard_assets_count;

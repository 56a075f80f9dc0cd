#include "collector-ui/dashboard/assets.h"

#include <string.h>

/* The plain page comes alone; a built dashboard always brings its script. */
bool dashboard_is_built(void)
{
    for (size_t i = 0; i < dashboard_assets_count; i++) {
        if (strncmp(dashboard_assets[i].content_type, "text/javascript", 15) == 0) {
            return true;
        }
    }
    return false;
}

#include "sensor/pipeline/unread_links.h"

#include <stdio.h>

#include "base/log.h"
#include "sensor/capture/capture.h"
#include "sensor/wire/packet.h"

/* True for whoever is the first. */
static bool is_new(struct unread_links *links, uint16_t link_type)
{
    for (unsigned i = 0; i < UNREAD_LINKS_MAX; i++) {
        uint32_t there = 0;

        if (atomic_compare_exchange_strong(&links->told[i], &there, link_type + 1u)) {
            return true;
        }
        if (there == link_type + 1u) {
            return false;
        }
    }
    return false;
}

void unread_links_tell(struct unread_links *links, uint16_t link_type, struct record_text interface)
{
    char text[160], name[200], where[400];

    if (packet_link_is_read(link_type) || !is_new(links, link_type)) {
        return;
    }
    (void)snprintf(text, sizeof(text), "%.*s", (int)interface.length,
                   interface.length > 0 ? interface.data : "");
    log_warn(
        "capture",
        "a link type that is not read: its packets are counted, and are in no flow; capture on "
        "a link that docs/protocols.md lists",
        "link_type=%u name=%s interface=%s", link_type,
        log_quote(capture_link_name(link_type), name, sizeof(name)),
        log_quote(text, where, sizeof(where)));
}
